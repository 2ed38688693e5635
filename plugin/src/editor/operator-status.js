'use strict';

const { EventEmitter } = require('node:events');

const { NoAnswer } = require('../client');
const { reason } = require('../reason');

/**
 * What is known of the operator. `reachable`: null before it was asked; `since`: when `reachable` became what it is; `problem`:
 * why there is no newer status, in one word; `at`: when `status` was last true.
 * @typedef {{reachable: boolean | null, since: Date | null, problem: string | null, at: Date | null, status: any}} Standing
 */

const EACH_MS = 5_000;
/** After something moved: other pods load within a second or two, and their number is what people look at then. */
const SOON_MS = [1_000, 1_000, 2_000];
const LAST_RETRY_MS = 30_000;

/**
 * The operator's word on the sync, this app and this pod, asked for only while somebody looks. Emits `change` when more than
 * the time of the last answer moved.
 */
class OperatorStatus extends EventEmitter {
  #client;
  #random;
  /** @type {Standing} */
  #standing = { reachable: null, since: null, problem: null, at: null, status: null };
  /** @type {string | null} */
  #etag = null;
  #watched = false;
  #asking = false;
  /** Something moved while it was asked. */
  #again = false;
  #failures = 0;
  /** @type {number[]} */
  #soon = [];
  /** @type {NodeJS.Timeout | null} */
  #timer = null;

  /**
   * @param {Pick<import('../client').Client, 'call'>} client
   * @param {{random?: () => number}} [options]
   */
  constructor(client, { random = Math.random } = {}) {
    super();
    this.#client = client;
    this.#random = random;
  }

  /** @returns {Standing} */
  get standing() {
    return this.#standing;
  }

  /** @param {boolean} watched whether anybody looks */
  watch(watched) {
    this.#watched = watched;
    this.#wait(null);
    if (watched) this.look();
  }

  /** Something moved: look at once, and a few times soon after. Does nothing while nobody looks. */
  look() {
    if (!this.#watched) return;
    this.#soon = [...SOON_MS];
    if (this.#asking) this.#again = true;
    else this.#ask();
  }

  close() {
    this.watch(false);
    this.removeAllListeners();
  }

  async #ask() {
    this.#wait(null);
    this.#asking = true;
    this.#again = false;
    const afterMs = await this.#call();
    this.#asking = false;
    if (!this.#watched) return;
    this.#wait(Math.max(this.#again && this.#failures === 0 ? SOON_MS[0] : this.#pause(), afterMs));
  }

  /** @returns {Promise<number>} how long the operator wants to be left alone */
  async #call() {
    try {
      const headers = this.#etag === null ? undefined : { 'if-none-match': this.#etag };
      const { status, body, etag, retryAfterMs } = await this.#client.call('GET', '/v1/status', { headers });
      if (status === 304) this.#settle(true, null, this.#standing.status);
      else if (status === 200 && isObject(body)) {
        this.#etag = etag;
        this.#settle(true, null, body);
      } else if (status !== 429) this.#fail(reason(body?.reason) ?? `Status${status}`);
      return Math.min(retryAfterMs ?? 0, LAST_RETRY_MS);
    } catch (error) {
      this.#fail(error instanceof NoAnswer ? error.word : 'RuntimeError');
      return 0;
    }
  }

  /** @param {string} problem */
  #fail(problem) {
    this.#failures += 1;
    this.#settle(false, problem, this.#standing.status);
  }

  /**
   * @param {boolean} reachable
   * @param {string | null} problem
   * @param {any} status
   */
  #settle(reachable, problem, status) {
    const was = this.#standing;
    const now = new Date();
    if (reachable) this.#failures = 0;
    const since = reachable === was.reachable ? was.since : now;
    this.#standing = { reachable, since, problem, at: reachable ? now : was.at, status };
    if (since !== was.since || problem !== was.problem || status !== was.status) this.emit('change');
  }

  #pause() {
    if (this.#failures === 0) return this.#soon.shift() ?? EACH_MS;
    const ms = Math.min(EACH_MS * 2 ** (this.#failures - 1), LAST_RETRY_MS);
    return ms * (1 + this.#random()) / 2;
  }

  /** @param {number | null} ms null: no longer */
  #wait(ms) {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms === null ? null : setTimeout(() => this.#ask(), ms).unref();
  }
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

module.exports = { OperatorStatus };
