'use strict';

const { execFileSync } = require('node:child_process');
const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');

/**
 * A certificate that signs itself, for localhost.
 * @returns {{key: Buffer, cert: Buffer}}
 */
function authority() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'spacesync-tls-'));
  try {
    const [key, cert] = ['key', 'crt'].map((name) => path.join(folder, name));
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert,
    ], { stdio: 'ignore' });
    return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** Who takes acknowledgements in place of the operator, and remembers them. Emits `ack`. */
class Operator extends EventEmitter {
  static async start() {
    const operator = new Operator(authority());
    await once(operator.server.listen(0, '127.0.0.1'), 'listening');
    return operator;
  }

  /** @param {{key: Buffer, cert: Buffer}} tls */
  constructor(tls) {
    super();
    /** @type {any[]} */
    this.acks = [];
    this.tls = tls;
    this.server = https.createServer(tls, async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const right = request.method === 'POST' && request.url === '/v1/acks' && request.headers.authorization === 'Bearer of-this-pod';
      response.writeHead(right ? 204 : 400).end();
      if (!right) return;
      this.acks.push(JSON.parse(body));
      this.emit('ack');
    });
  }

  /** What pods are told about it, below `.spacesync/`. */
  get told() {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.server.address());
    return { url: `https://127.0.0.1:${port}`, token: 'of-this-pod', 'ca.crt': this.tls.cert.toString() };
  }

  /**
   * Waits for an acknowledgement.
   * @param {(ack: any) => boolean} fits
   * @returns {Promise<any>}
   */
  async acked(fits) {
    for (;;) {
      const found = this.acks.find(fits);
      if (found !== undefined) return found;
      await once(this, 'ack', { signal: AbortSignal.timeout(20_000) });
    }
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

module.exports = { Operator, authority };
