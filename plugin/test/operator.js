'use strict';

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
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

/** What a status says unless a test says otherwise. */
const STATUS = {
  space: 'newsroom-dev', sync: 'secrets', version: 1, revision: '1-0123456789abcdef',
  createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-02T00:00:00Z', issuedAt: '2026-01-02T00:00:01Z',
  lastChecked: '2026-01-02T00:00:02Z', lastSync: { time: '2026-01-02T00:00:01Z', trigger: 'first', result: 'Synced' },
  autoSync: { value: 'Live', managedBy: null }, syncOnSave: { value: true, managedBy: null }, suspended: false, syncing: false,
  flowApp: { name: 'ingest', version: '5.3.0', pods: 3, loaded: 3 }, flowApps: 1,
  pod: { name: 'ingest-0', told: '1-0123456789abcdef', loaded: '1-0123456789abcdef' },
  conditions: [{ type: 'Synced', status: 'True', reason: 'Synced', message: 'version 1 is in Secret secrets', since: '2026-01-02T00:00:01Z' }],
};

/**
 * @typedef {{method: string, path: string, headers: import('node:http').IncomingHttpHeaders, body: any}} Asked
 * @typedef {{status: number, body?: unknown, headers?: Record<string, string>}} Answer
 */

/**
 * Stands in place of the operator: takes acknowledgements, tells a status, and answers the rest as a test has it. Remembers
 * everything that it is asked; emits `ack` and `asked`.
 */
class Operator extends EventEmitter {
  static async start() {
    const operator = new Operator(authority());
    await operator.up();
    return operator;
  }

  /** @param {{key: Buffer, cert: Buffer}} tls */
  constructor(tls) {
    super();
    /** @type {any[]} */
    this.acks = [];
    /** @type {Asked[]} */
    this.asked = [];
    this.tls = tls;
    this.port = 0;
    /** @type {https.Server | null} */
    this.server = null;
    this.reset();
  }

  /** Forgets what it was asked, and answers as at first. */
  reset() {
    this.acks.length = 0;
    this.asked.length = 0;
    this.status = STATUS;
    /** By method and path. @type {Record<string, (asked: Asked) => Answer | Promise<Answer>>} */
    this.answers = {
      'POST /v1/acks': () => ({ status: 204 }),
      'GET /v1/status': ({ headers }) => {
        const etag = `"${createHash('sha256').update(JSON.stringify(this.status)).digest('hex').slice(0, 24)}"`;
        return headers['if-none-match'] === etag ? { status: 304, headers: { etag } } : { status: 200, body: this.status, headers: { etag } };
      },
      'POST /v1/sync': () => ({ status: 200, body: this.done() }),
    };
  }

  /**
   * What the answer to a sync says that has been done.
   * @param {object} [more]
   */
  done(more = {}) {
    const { version, revision } = this.status;
    return { state: 'done', result: 'Synced', message: `version ${version} is in Secret secrets`, version, revision, checkedAt: '2026-01-02T00:00:03Z', ...more };
  }

  /** Listens, on the port that it had before. */
  async up() {
    this.server = https.createServer(this.tls, (request, response) => this.#serve(request, response));
    await once(this.server.listen(this.port, '127.0.0.1'), 'listening');
    this.port = /** @type {import('node:net').AddressInfo} */ (this.server.address()).port;
  }

  /** Breaks all connections, and takes no more. */
  async down() {
    if (this.server === null) return;
    const closed = once(this.server, 'close');
    this.close();
    await closed;
  }

  /** What pods are told about it, below `.spacesync/`. */
  get told() {
    return { url: `https://127.0.0.1:${this.port}`, token: 'of-this-pod', 'ca.crt': this.tls.cert.toString() };
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

  /**
   * Waits until it was asked so often.
   * @param {string} what method and path
   * @param {number} [times]
   * @returns {Promise<Asked>} the last of them
   */
  async wasAsked(what, times = 1) {
    for (;;) {
      const found = this.count(what);
      if (found.length >= times) return found[times - 1];
      await once(this, 'asked', { signal: AbortSignal.timeout(40_000) });
    }
  }

  /** @param {string} what method and path */
  count(what) {
    return this.asked.filter(({ method, path: asked }) => `${method} ${asked}` === what);
  }

  close() {
    this.server?.closeAllConnections();
    this.server?.close();
    this.server = null;
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async #serve(request, response) {
    let text = '';
    try {
      for await (const chunk of request) text += chunk;
    } catch {
      return; // Broken off.
    }
    const { method = '', url = '', headers } = request;
    const answer = this.answers[`${method} ${url}`];
    if (answer === undefined || headers.authorization !== 'Bearer of-this-pod') return void response.writeHead(400).end();
    const asked = { method, path: url, headers, body: text === '' ? null : JSON.parse(text) };
    this.asked.push(asked);
    this.emit('asked');
    const { status, body, headers: more = {} } = await answer(asked);
    if (url === '/v1/acks' && status === 204) this.acks.push(asked.body);
    const type = status < 400 ? 'application/json' : 'application/problem+json';
    response.writeHead(status, { ...(body !== undefined && { 'content-type': type }), ...more }).end(body === undefined ? '' : JSON.stringify(body));
    if (url === '/v1/acks') this.emit('ack');
  }
}

module.exports = { Operator, STATUS, authority };
