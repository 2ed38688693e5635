'use strict';

const { EventEmitter } = require('node:events');

const { NoAnswer } = require('../client');
const { reason } = require('../reason');

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
/** The answer comes when the sync is done, and deploys meanwhile become one more. */
const WAIT_S = 30;
const DEADLINE_MS = (WAIT_S + 5) * 1000;

/**
 * Asks the operator for a sync after a deploy, and again until it was heard. Emits `change` when `pending` moved.
 *
 * There is one request at most on its way and one behind it: a deploy that comes while the first waits for its answer may have
 * come too late for what that one read. Whether *Sync on Save* is on is the operator's to know.
 */
class SyncOnSave extends EventEmitter {
  #client;
  #log;
  #random;
  #asking = false;
  /** A deploy that the operator has not heard of. */
  #due = false;
  #failures = 0;
  /** Not before the operator's Retry-After. */
  #quiet = false;
  /** @type {NodeJS.Timeout | null} */
  #timer = null;
  #closed = false;

  /**
   * @param {{client: Pick<import('../client').Client, 'call'>, log: import('../log').Log, random?: () => number}} parts
   */
  constructor({ client, log, random = Math.random }) {
    super();
    this.#client = client;
    this.#log = log;
    this.#random = random;
  }

  /** Whether a request is kept until the operator is back. */
  get pending() {
    return this.#failures > 0;
  }

  /** Flows were deployed. Never throws, and waits for nothing. */
  saved() {
    this.#due = true;
    if (!this.#quiet) this.#ask();
  }

  /** The operator may be there again, or its address. */
  nudge() {
    if (this.#due && !this.#quiet) this.#ask();
  }

  close() {
    this.#closed = true;
    this.#wait(null);
    this.removeAllListeners();
  }

  async #ask() {
    if (this.#asking || this.#closed) return;
    this.#wait(null);
    this.#asking = true;
    this.#due = false;
    const outcome = await this.#call();
    this.#asking = false;
    if (this.#closed) return;
    if (outcome === 'heard') this.#settle();
    // The swap that tells whom to call brings us back.
    else if (outcome === 'not told') this.#due = true;
    else this.#retry(outcome);
  }

  /** @returns {Promise<'heard' | 'not told' | {why: string | null, afterMs: number | null}>} `why`: null where it only came too soon */
  async #call() {
    try {
      const { status, body, retryAfterMs } = await this.#client.call('POST', '/v1/sync', {
        body: { trigger: 'save', wait: WAIT_S }, deadlineMs: DEADLINE_MS,
      });
      if (status === 429) return { why: null, afterMs: retryAfterMs };
      // That no sync serves this app, say, stays so until somebody makes one; and its first look needs no deploy.
      if (status < 500 && status !== 401 && status !== 408) return 'heard';
      return { why: [status, reason(body?.reason)].filter(Boolean).join(' '), afterMs: retryAfterMs };
    } catch (error) {
      if (!(error instanceof NoAnswer)) return { why: 'RuntimeError', afterMs: null };
      return error.word === 'NotTold' ? 'not told' : { why: error.message, afterMs: null };
    }
  }

  #settle() {
    if (this.#failures > 0) {
      this.#failures = 0;
      this.#log.info('saves.back');
      this.emit('change');
    }
    if (this.#due) this.#ask();
  }

  /** @param {{why: string | null, afterMs: number | null}} outcome */
  #retry({ why, afterMs }) {
    this.#due = true;
    this.#quiet = afterMs !== null;
    const ms = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LAST_RETRY_MS);
    if (why !== null) this.#failures += 1;
    if (why !== null && this.#failures === 1) {
      this.#log.warn('saves.away', { why });
      this.emit('change');
    }
    // Half to whole, so that a hundred pods that lost the operator together do not come back together.
    this.#wait(Math.max(ms * (1 + this.#random()) / 2, Math.min(afterMs ?? 0, LAST_RETRY_MS)));
  }

  /** @param {number | null} ms null: no longer */
  #wait(ms) {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms === null ? null : setTimeout(() => this.#again(), ms).unref();
  }

  #again() {
    this.#quiet = false;
    this.#ask();
  }
}

module.exports = { SyncOnSave };
