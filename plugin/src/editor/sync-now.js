'use strict';

const timers = require('node:timers/promises');

const { NoAnswer } = require('../client');
const { ofAnswer, ofNoAnswer, own } = require('./refusal');

/** @typedef {'asked' | 'checking' | 'loading'} Step */
/**
 * How it ends, and in no other way.
 * @typedef {{outcome: 'loaded', version: number} | {outcome: 'newest', version: number, checkedAt: string}
 *   | {outcome: 'suspended'} | {outcome: 'error', status: number, reason: string, message: string}} Outcome
 */

/** Below the minute after which many a proxy in front of an editor gives up. */
const LIMIT_MS = 55_000;
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
  #count = 0;
  /** @type {Promise<Outcome> | null} */
  #running = null;
  /** Ends whatever is waited for. */
  #closing = new AbortController();

  /**
   * @param {{holder: import('../holder').Holder, client: Pick<import('../client').Client, 'call'>, log: import('../log').Log,
   *   progress: (of: {id: string, step: Step | 'done', seconds: number, end?: Outcome}) => void}} parts
   */
  constructor({ holder, client, log, progress }) {
    this.#holder = holder;
    this.#client = client;
    this.#log = log;
    this.#progress = progress;
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
    const run = new Run(`${process.pid}-${this.#count += 1}`, this.#progress);
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
    for (let failures = 0; ;) {
      const leftMs = run.leftMs;
      if (leftMs <= 0) return refused(own(504, 'Pending', this.#log));
      const wait = Math.min(WAIT_S, Math.ceil(leftMs / 1000));
      const asking = this.#client.call('POST', '/v1/sync', { body: { trigger: 'manual', wait }, deadlineMs: wait * 1000 + SPARE_MS });
      run.tell('checking');
      /** @type {import('../client').Answer} */
      let answer;
      try {
        answer = await asking;
      } catch (error) {
        const passing = error instanceof NoAnswer && (error.word === 'Unreachable' || error.word === 'TimedOut');
        if (!passing || (failures += 1) > 1) throw error;
        await this.#pause(AGAIN_MS);
        continue;
      }
      const { status, body, retryAfterMs } = answer;
      if (status === 429 && retryAfterMs !== null && retryAfterMs < run.leftMs) await this.#pause(retryAfterMs);
      else if (status === 202 && body?.state === 'pending') await this.#pause(AGAIN_MS);
      else if (status === 202 && body?.state === 'suspended') return { outcome: 'suspended' };
      else if (status === 200 && body?.state === 'done') return this.#done(run, body, before);
      else return refused(ofAnswer(answer, this.#log));
    }
  }

  /**
   * @param {Run} run
   * @param {any} body of the operator's answer
   * @param {string | null} before what flows read when it was asked for
   * @returns {Promise<Outcome> | Outcome}
   */
  #done(run, { result, message, version, revision, checkedAt }, before) {
    if (result !== 'Synced') {
      const reason = /^\w{1,64}$/.test(result) ? result : 'Malformed';
      return refused({ status: 502, reason, message: typeof message === 'string' ? message : this.#log.say('refused.Malformed', { status: 200 }) });
    }
    if (typeof revision !== 'string') return refused(own(502, 'Malformed', this.#log, { status: 200 }));
    if (revision === before && this.#holder.current?.revision === before) {
      return { outcome: 'newest', version, checkedAt: checkedAt ?? new Date().toISOString() };
    }
    return this.#loaded(run, revision);
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

/** One run, and what editors are told of it. */
class Run {
  #start = performance.now();
  /** @type {Step | 'done'} */
  #step = 'asked';

  /**
   * @param {string} id
   * @param {(of: {id: string, step: Step | 'done', seconds: number, end?: Outcome}) => void} progress
   */
  constructor(id, progress) {
    this.id = id;
    this.progress = progress;
    this.tell();
  }

  get leftMs() {
    return LIMIT_MS - (performance.now() - this.#start);
  }

  /** @param {Step} [step] */
  tell(step) {
    if (step !== undefined) this.#step = step;
    this.progress({ id: this.id, step: this.#step, seconds: this.#seconds() });
  }

  /** @param {Outcome} end */
  end(end) {
    this.progress({ id: this.id, step: 'done', seconds: this.#seconds(), end });
  }

  #seconds() {
    return Math.round((performance.now() - this.#start) / 1000);
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
