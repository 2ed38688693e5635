'use strict';

const { Redactor } = require('./redactor');

/** @typedef {import('./redactor').SecretSource} SecretSource */

/** So long messages with an old value may still be on their way: in delays, queues, and in the context of flows. */
const KEEP_MS = 5 * 60 * 1000;
/** So many old snapshots at most; a space that changes more often than that forgets the oldest first. */
const KEEP = 4;

/**
 * The redactor of the moment: for what flows read now, and for what they read a short while ago. What it knows lives in memory only, and
 * goes with the snapshot.
 */
class WatchList {
  /** Lately replaced snapshots, the newest first. @type {{snapshot: SecretSource, until: number}[]} */
  #old = [];
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #holder;
  #keepMs;
  #onSwap = (/** @type {SecretSource} */ _snapshot, /** @type {SecretSource | null} */ previous) => {
    if (previous !== null) this.#old.unshift({ snapshot: previous, until: Date.now() + this.#keepMs });
    this.#rebuild();
  };

  redactor = new Redactor([]);

  /**
   * @param {import('node:events').EventEmitter & {readonly current: SecretSource | null}} holder
   * @param {number} [keepMs]
   */
  constructor(holder, keepMs = KEEP_MS) {
    this.#holder = holder;
    this.#keepMs = keepMs;
    // First of all who hear of it: no flow reads a value that is not known here.
    holder.prependListener('swap', this.#onSwap);
    this.#rebuild();
  }

  #rebuild() {
    const now = Date.now();
    this.#old = this.#old.filter(({ until }) => until > now).slice(0, KEEP);
    const { current } = this.#holder;
    this.redactor = new Redactor([...(current === null ? [] : [current]), ...this.#old.map(({ snapshot }) => snapshot)]);
    clearTimeout(this.#timer);
    const last = this.#old.at(-1);
    if (last === undefined) return;
    this.#timer = setTimeout(() => this.#rebuild(), Math.max(1, last.until - now));
    this.#timer.unref();
  }

  close() {
    this.#holder.removeListener('swap', this.#onSwap);
    clearTimeout(this.#timer);
    this.#old = [];
    this.redactor = new Redactor([]);
  }
}

module.exports = { WatchList };
