'use strict';

const https = require('node:https');

const mount = require('./mount');

/**
 * `body`: parsed JSON, also problem+json, or null.
 * @typedef {{status: number, body: any, etag: string | null, retryAfterMs: number | null}} Answer
 */
/** @typedef {'NotTold' | 'BadAddress' | 'Unreachable' | 'TimedOut' | 'AnswerTooLarge'} NoAnswerWord */

const DEADLINE_MS = 5_000;
const MAX_ANSWER = 64 * 1024;
const MAX_RETRY_AFTER_MS = 10 * 60_000;

/** There was no answer. */
class NoAnswer extends Error {
  /**
   * @param {NoAnswerWord} word `NotTold`: the mount does not say (yet) whom to call
   * @param {string} [code] of Node.js, such as ECONNREFUSED
   */
  constructor(word, code) {
    super(code === undefined ? word : `${word} (${code})`);
    this.name = 'NoAnswer';
    this.word = word;
  }
}

/**
 * Calls the operator's API for pods.
 *
 * Where to, who it must be and who asks stand in the mount and are read anew for each call, as each call has a connection
 * of its own: the kubelet renews the token each hour, the operator its certificate now and then. No other authority is
 * trusted, no redirect followed.
 */
class Client {
  #mountPath;

  /** @param {string} mountPath */
  constructor(mountPath) {
    this.#mountPath = mountPath;
  }

  /**
   * @param {'GET' | 'POST' | 'PATCH'} method
   * @param {string} path such as `/v1/acks`
   * @param {{body?: unknown, headers?: Record<string, string>, deadlineMs?: number}} [options]
   * @returns {Promise<Answer>} whatever the status; rejects with {@link NoAnswer}
   */
  async call(method, path, { body, headers = {}, deadlineMs = DEADLINE_MS } = {}) {
    const { base, token, ca } = this.#told();
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const agent = new https.Agent({ keepAlive: false });
    try {
      return await answer(https.request(`${base}${path}`, {
        method,
        agent,
        ca,
        rejectUnauthorized: true,
        minVersion: 'TLSv1.2',
        signal: AbortSignal.timeout(deadlineMs),
        headers: {
          ...headers,
          authorization: `Bearer ${token}`,
          accept: 'application/json, application/problem+json',
          ...(payload !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        },
      }), payload);
    } catch (error) {
      throw error instanceof NoAnswer ? error : noAnswer(error);
    } finally {
      agent.destroy();
    }
  }

  #told() {
    const [url, token, ca] = mount.toldTogether(this.#mountPath, ['url', 'token', 'ca.crt']);
    if (url === null || token === null || ca === null) throw new NoAnswer('NotTold');
    return { base: base(url), token, ca };
  }
}

/**
 * @param {string} url
 * @returns {string} without a slash at its end
 */
function base(url) {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const plain = parsed?.protocol === 'https:' && parsed.username === '' && parsed.password === ''
    && parsed.search === '' && parsed.hash === '';
  if (parsed === null || !plain) throw new NoAnswer('BadAddress');
  return parsed.href.replace(/\/+$/, '');
}

/**
 * @param {import('node:http').ClientRequest} request
 * @param {string | undefined} payload
 * @returns {Promise<Answer>}
 */
function answer(request, payload) {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      /** @type {Buffer[]} */
      const chunks = [];
      let size = 0;
      response.on('error', reject);
      response.on('data', (/** @type {Buffer} */ chunk) => {
        size += chunk.length;
        if (size > MAX_ANSWER) response.destroy(new NoAnswer('AnswerTooLarge'));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve({
        status: response.statusCode ?? 0,
        body: json(response.headers['content-type'], Buffer.concat(chunks)),
        etag: response.headers.etag ?? null,
        retryAfterMs: retryAfter(response.headers['retry-after']),
      }));
    });
    request.end(payload);
  });
}

/**
 * @param {string | undefined} type
 * @param {Buffer} bytes
 * @returns {any} null for anything but JSON
 */
function json(type, bytes) {
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(type ?? '')) return null;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}

/**
 * @param {string | undefined} header seconds, or a date
 * @returns {number | null}
 */
function retryAfter(header) {
  if (header === undefined) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** @param {any} error of node:https */
function noAnswer(error) {
  return error?.name === 'AbortError' || error?.name === 'TimeoutError'
    ? new NoAnswer('TimedOut') : new NoAnswer('Unreachable', error?.code);
}

module.exports = { Client, NoAnswer };
