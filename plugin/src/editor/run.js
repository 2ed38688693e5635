'use strict';

/** @typedef {'asked' | 'checking' | 'loading'} Step */
/** @typedef {(of: {id: string, step: Step | 'done', seconds: number, end?: import('./sync-now').Outcome}) => void} Progress */

/** Below the minute after which many a proxy in front of an editor gives up. */
const LIMIT_MS = 55_000;

/** One *Sync now*: how long it has been under way, and what editors are told of it. */
class Run {
  #now;
  #start;
  /** @type {Step} */
  #step = 'asked';

  /**
   * @param {string} id
   * @param {Progress} progress
   * @param {() => number} now
   */
  constructor(id, progress, now) {
    this.id = id;
    this.progress = progress;
    this.#now = now;
    this.#start = now();
    this.tell();
  }

  get leftMs() {
    return LIMIT_MS - (this.#now() - this.#start);
  }

  /** @param {Step} [step] */
  tell(step) {
    if (step !== undefined) this.#step = step;
    this.progress({ id: this.id, step: this.#step, seconds: this.#seconds() });
  }

  /** @param {import('./sync-now').Outcome} end */
  end(end) {
    this.progress({ id: this.id, step: 'done', seconds: this.#seconds(), end });
  }

  #seconds() {
    return Math.round((this.#now() - this.#start) / 1000);
  }
}

module.exports = { Run };
