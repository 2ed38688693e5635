'use strict';

const { EventEmitter } = require('node:events');

const { NoAnswer } = require('../client');
const { reason } = require('../reason');

/** @typedef {{autoSync?: string, syncOnSave?: boolean}} Settings */

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

/**
 * Has the operator's settings be what a legacy node says: told once per change, and not where the operator has them so already.
 * What GitOps owns stays its owner's. Emits `change` when `refused` moved.
 */
class Wish extends EventEmitter {
  #client;
  #log;
  #random;
  /** @type {Settings} */
  #wanted = {};
  /** What is not told yet. @type {Settings} */
  #due = {};
  /** @type {Map<string, string>} who owns a setting, by its name */
  #owners = new Map();
  #asking = false;
  #failures = 0;
  /** Not before the operator's Retry-After. */
  #quiet = false;
  /** @type {NodeJS.Timeout | null} */
  #timer = null;
  #closed = false;

  /** @param {{client: Pick<import('../client').Client, 'call'>, log: import('../log').Log, random?: () => number}} parts */
  constructor({ client, log, random = Math.random }) {
    super();
    this.#client = client;
    this.#log = log;
    this.#random = random;
  }

  /** Who owns what was asked for in vain. @returns {string | null} */
  get refused() {
    return this.#owners.values().next().value ?? null;
  }

  /** @param {Settings} wanted nothing, where no node serves */
  be(wanted) {
    /** @type {any} */ const before = this.#wanted;
    this.#wanted = wanted;
    for (const name of ['autoSync', 'syncOnSave']) if (!Object.hasOwn(wanted, name)) this.#forget(name);
    const moved = Object.entries(wanted).filter(([name, value]) => before[name] !== value);
    for (const [name, value] of moved) {
      this.#forget(name);
      this.#due = { ...this.#due, [name]: value };
    }
    if (moved.length > 0) this.#ask();
  }

  /** The operator may be there again, or its address. */
  nudge() {
    this.#ask();
  }

  close() {
    this.#closed = true;
    this.#wait(null);
    this.removeAllListeners();
  }

  /** @param {string} name */
  #forget(name) {
    const { [name]: _, ...due } = /** @type {any} */ (this.#due);
    this.#due = due;
    if (this.#owners.delete(name)) this.emit('change');
  }

  async #ask() {
    if (this.#asking || this.#quiet || this.#closed || Object.keys(this.#due).length === 0) return;
    this.#wait(null);
    this.#asking = true;
    const outcome = await this.#tell();
    this.#asking = false;
    if (outcome === 'heard') {
      this.#failures = 0;
      this.#ask(); // Something moved meanwhile.
    } else if (outcome !== 'not told') this.#retry(outcome.afterMs);
  }

  /** @returns {Promise<'heard' | 'not told' | {afterMs: number}>} */
  async #tell() {
    try {
      const { status, body, retryAfterMs } = await this.#client.call('GET', '/v1/status');
      if (status !== 200) return { afterMs: retryAfterMs ?? 0 };
      // One at a time: an owner of the one does not keep the other from being set.
      for (const [name, value] of Object.entries(this.#due)) {
        if (body?.[name]?.value !== value) {
          const afterMs = await this.#set(name, value);
          if (afterMs !== null) return { afterMs };
        }
        // Unless another value is wanted by now.
        if (/** @type {any} */ (this.#due)[name] === value) {
          const { [name]: _, ...due } = /** @type {any} */ (this.#due);
          this.#due = due;
        }
      }
      return 'heard';
    } catch (error) {
      return error instanceof NoAnswer && error.word === 'NotTold' ? 'not told' : { afterMs: 0 };
    }
  }

  /**
   * @param {string} name
   * @param {string | boolean} value
   * @returns {Promise<number | null>} null: there is an answer to it; else when to ask again at the soonest
   */
  async #set(name, value) {
    const { status, body, retryAfterMs } = await this.#client.call('PATCH', '/v1/settings', { body: { [name]: value } });
    const word = reason(body?.reason);
    if (status === 200) this.#log.info('legacy.told', { name, value: String(value) });
    else if (word === 'FieldOwned') this.#refuse(name, body);
    else if (status >= 500 || [401, 408, 409, 429].includes(status)) return retryAfterMs ?? 0;
    else this.#log.warn('legacy.not-told', { name, why: [status, word].filter(Boolean).join(' ') });
    return null;
  }

  /**
   * @param {string} name
   * @param {{owner?: unknown}} body
   */
  #refuse(name, { owner }) {
    const who = typeof owner === 'string' ? owner.slice(0, 128) : '?';
    this.#owners.set(name, who);
    this.#log.warn('legacy.owned', { name, owner: who });
    this.emit('change');
  }

  /** @param {number} afterMs */
  #retry(afterMs) {
    const ms = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LAST_RETRY_MS);
    this.#failures += 1;
    this.#quiet = afterMs > 0;
    // Half to whole, so that a hundred pods that lost the operator together do not come back together.
    this.#wait(Math.max(ms * (1 + this.#random()) / 2, Math.min(afterMs, LAST_RETRY_MS)));
  }

  /** @param {number | null} ms null: no longer */
  #wait(ms) {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms === null || this.#closed ? null : setTimeout(() => {
      this.#timer = null;
      this.#quiet = false;
      this.#ask();
    }, ms).unref();
  }
}

module.exports = { Wish };
