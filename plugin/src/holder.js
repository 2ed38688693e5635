'use strict';

const { EventEmitter } = require('node:events');

/** @typedef {import('./snapshot').Snapshot} Snapshot */
/** @typedef {import('./problem').ProblemWord} ProblemWord */
/** @typedef {'loading' | 'waiting' | 'loaded' | 'stale'} State */

/** So many revisions of the past are known. */
const PAST = 16;

/**
 * Holds the one snapshot that flows read, and says what is known about it.
 *
 * Events, both synchronous: `swap(snapshot, previous, {added, changed, removed})` when flows read something else from now
 * on; `state(state)` whenever `state`, `problem` or `damaged` moved.
 */
class Holder extends EventEmitter {
  /** @type {Snapshot | null} */
  #current = null;
  /** @type {Date | null} */
  #loadedAt = null;
  /** @type {State} */
  #state = 'loading';
  /** @type {Date | null} */
  #staleSince = null;
  /** @type {ProblemWord | null} */
  #problem = null;
  /** @type {string | null} */
  #damaged = null;

  /** @type {string[]} */
  #past = [];

  /** What flows read: the last good one, also while something is wrong with the newest. */
  get current() { return this.#current; }
  /** Since when flows read it. */
  get loadedAt() { return this.#loadedAt; }
  /** `waiting`: flows run without secrets until the first good snapshot comes. */
  get state() { return this.#state; }
  /** Since when what flows read may be old. */
  get staleSince() { return this.#staleSince; }
  /** What is wrong with the files in the mount, in the contract's word. */
  get problem() { return this.#problem; }
  /** The revision of the files that could not be loaded, where they told it. */
  get damaged() { return this.#damaged; }

  /**
   * Whether flows have read this revision, now or before.
   * @param {string} revision
   */
  hasRead(revision) {
    return this.#past.includes(revision);
  }

  /**
   * Flows read this snapshot from now on. The same content again is no event.
   * @param {Snapshot} snapshot
   * @param {Date} [now]
   */
  load(snapshot, now = new Date()) {
    const previous = this.#current;
    const same = snapshot.equals(previous);
    if (!same) {
      this.#current = snapshot;
      this.#loadedAt = now;
      this.#past = [...this.#past.filter((past) => past !== snapshot.revision), snapshot.revision].slice(-PAST);
    }
    const moved = this.#become('loaded', null, null, null);
    if (!same) this.emit('swap', snapshot, previous, snapshot.changesSince(previous));
    if (moved) this.emit('state', this.#state);
  }

  /**
   * The newest files are of no use: what is there stays.
   * @param {ProblemWord} problem
   * @param {string | null} [damaged]
   * @param {Date} [now]
   */
  keep(problem, damaged = null, now = new Date()) {
    const state = this.#current === null ? 'waiting' : 'stale';
    const since = this.#current === null ? null : this.#staleSince ?? now;
    if (this.#become(state, since, problem, damaged)) this.emit('state', this.#state);
  }

  /**
   * @param {State} state
   * @param {Date | null} staleSince
   * @param {ProblemWord | null} problem
   * @param {string | null} damaged
   * @returns {boolean} whether any of it is new
   */
  #become(state, staleSince, problem, damaged) {
    const moved = state !== this.#state || problem !== this.#problem || damaged !== this.#damaged;
    this.#state = state;
    this.#staleSince = staleSince;
    this.#problem = problem;
    this.#damaged = damaged;
    return moved;
  }
}

module.exports = { Holder };
