'use strict';

const timers = require('node:timers/promises');

const { NoAnswer } = require('../client');
const { reason } = require('../reason');
const { ofAnswer, ofNoAnswer, own } = require('./refusal');
const { Run } = require('./run');

/**
 * How it ends, and in no other way.
 * @typedef {{outcome: 'loaded', version: number} | {outcome: 'newest', version: number, checkedAt: string}
 *   | {outcome: 'suspended'} | {outcome: 'error', status: number, reason: string, message: string}} Outcome
 */
/** So long the operator may keep one question open; it is asked again, which joins what is under way. */
const WAIT_S = 20;
const SPARE_MS = 5_000;
/** A replica that ends breaks its connections; the next one knows of the request. */
const AGAIN_MS = 1_000;
/** While it is waited for: what the operator holds may have moved on. */
const LOOK_MS = 3_000;
const TICK_MS = 1_000;

/**
 * *Sync now*: has the store looked at, and follows what comes of it up to the flows of this very runtime. One at a time; who
 * asks meanwhile gets the same end.
 */
class SyncNow {
  #holder;
  #client;
  #log;
  #progress;
  #now;
  #count = 0;
  /** @type {Promise<Outcome> | null} */
  #running = null;
  /** Ends whatever is waited for. */
  #closing = new AbortController();

  /**
   * @param {{holder: import('../holder').Holder, client: Pick<import('../client').Client, 'call'>, log: import('../log').Log,
   *   progress: import('./run').Progress, now?: () => number}} parts `now`: in milliseconds
   */
  constructor({ holder, client, log, progress, now = () => performance.now() }) {
    this.#holder = holder;
    this.#client = client;
    this.#log = log;
    this.#progress = progress;
    this.#now = now;
  }

  /** @returns {Promise<Outcome>} never rejects */
  run() {
    this.#running ??= this.#follow().finally(() => { this.#running = null; });
    return this.#running;
  }

  close() {
    this.#closing.abort();
  }

  async #follow() {
    const run = new Run(`${process.pid}-${this.#count += 1}`, this.#progress, this.#now);
    const ticking = setInterval(() => run.tell(), TICK_MS).unref();
    /** @type {Outcome} */
    let end;
    try {
      end = await this.#ask(run);
    } catch (error) {
      end = refused(ofNoAnswer(error, this.#log));
    }
    clearInterval(ticking);
    run.end(end);
    return end;
  }

  /**
   * @param {Run} run
   * @returns {Promise<Outcome>}
   */
  async #ask(run) {
    const before = this.#holder.current?.revision ?? null;
    const answer = await this.#answered(run);
    if (answer === null) return refused(own(504, 'Pending', this.#log));
    const { status, body } = answer;
    if (status === 202 && body?.state === 'suspended') return { outcome: 'suspended' };
    if (status !== 200 || body?.state !== 'done') return refused(ofAnswer(answer, this.#log));

    const { result, message, version, revision, checkedAt } = body;
    const word = reason(result);
    if (word !== null && word !== 'Synced' && typeof message === 'string') return refused({ status: 502, reason: word, message });
    if (word !== 'Synced' || typeof revision !== 'string') return refused(own(502, 'Malformed', this.#log, { status }));
    if (revision === before && this.#holder.current?.revision === before) {
      return { outcome: 'newest', version, checkedAt: checkedAt ?? new Date().toISOString() };
    }
    return this.#loaded(run, revision);
  }

  /**
   * Asks, and again while it is under way: that joins it.
   * @param {Run} run
   * @returns {Promise<import('../client').Answer | null>} null where it took too long
   */
  async #answered(run) {
    for (let failures = 0; run.leftMs > 0;) {
      const wait = Math.min(WAIT_S, Math.ceil(run.leftMs / 1000));
      const asking = this.#client.call('POST', '/v1/sync', { body: { trigger: 'manual', wait }, deadlineMs: wait * 1000 + SPARE_MS });
      run.tell('checking');
      try {
        const answer = await asking;
        const { status, body, retryAfterMs } = answer;
        const underWay = status === 202 && body?.state === 'pending';
        const tooSoon = status === 429 && retryAfterMs !== null && retryAfterMs < run.leftMs;
        if (!underWay && !tooSoon) return answer;
        await this.#pause(tooSoon ? retryAfterMs : AGAIN_MS);
      } catch (error) {
        const passing = error instanceof NoAnswer && (error.word === 'Unreachable' || error.word === 'TimedOut');
        if (!passing || (failures += 1) > 1) throw error;
        await this.#pause(AGAIN_MS);
      }
    }
    return null;
  }

  /**
   * Waits until flows read what the operator holds. It may hold a newer one by then, and the older will never come.
   * @param {Run} run
   * @param {string} revision
   * @returns {Promise<Outcome>}
   */
  async #loaded(run, revision) {
    run.tell('loading');
    for (let wanted = revision; ;) {
      const { current, problem, damaged } = this.#holder;
      if (current?.revision === wanted) return { outcome: 'loaded', version: current.version };
      if (problem !== null && damaged === wanted) return refused(own(502, problem, this.#log));
      if (run.leftMs <= 0) return refused(own(504, 'NotLoaded', this.#log, { revision: wanted }));
      if (!(await this.#moved(Math.min(LOOK_MS, run.leftMs)))) wanted = await this.#held() ?? wanted;
    }
  }

  /** @returns {Promise<string | null>} the revision that the operator holds now */
  async #held() {
    try {
      const { status, body } = await this.#client.call('GET', '/v1/status');
      return status === 200 && typeof body?.revision === 'string' ? body.revision : null;
    } catch {
      return null;
    }
  }

  /**
   * Waits until something moves in what flows read.
   * @param {number} ms
   * @returns {Promise<boolean>} whether it did
   */
  #moved(ms) {
    return new Promise((resolve, reject) => {
      const settle = (/** @type {() => void} */ how) => {
        clearTimeout(timer);
        this.#holder.removeListener('swap', moved);
        this.#holder.removeListener('state', moved);
        this.#closing.signal.removeEventListener('abort', closed);
        how();
      };
      const moved = () => settle(() => resolve(true));
      const closed = () => settle(() => reject(new Error('closed')));
      const timer = setTimeout(() => settle(() => resolve(false)), ms);
      this.#holder.on('swap', moved);
      this.#holder.on('state', moved);
      this.#closing.signal.addEventListener('abort', closed);
    });
  }

  /** @param {number} ms */
  #pause(ms) {
    return timers.setTimeout(ms, undefined, { signal: this.#closing.signal });
  }
}

/**
 * @param {import('./refusal').Refusal} refusal
 * @returns {Outcome}
 */
function refused(refusal) {
  return { outcome: 'error', ...refusal };
}

module.exports = { SyncNow };
