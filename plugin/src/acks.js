'use strict';

const { NoAnswer } = require('./client');
const { reason } = require('./reason');

/** @typedef {import('./problem').ProblemWord} ProblemWord */
/** @typedef {{name: string, version: string, plugin: string, protection: string}} Runtime */
/** @typedef {{revision: string, error?: ProblemWord, runtime: Runtime, legacyNodes?: number}} Ack */
/**
 * All that an ack is made of.
 * @typedef {{
 *   holder: Pick<import('./holder').Holder, 'current' | 'state' | 'problem' | 'damaged' | 'hasRead'>,
 *   told: string | null, runtime: Runtime, legacyNodes: number | null
 * }} Standing `told`: the revision that the pod was told to load; `legacyNodes`: null before they were counted
 */

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 30_000;

/**
 * What is to be acknowledged now: the revision inside the snapshot that flows read, or the one that could not be loaded.
 *
 * Nothing, while the pod was told of a revision that its files do not hold yet: then nothing has changed for flows. Revisions
 * have no order, so what was told is new unless flows have read it before.
 * @param {Standing} standing
 * @returns {Ack | null}
 */
function due({ holder, told, runtime, legacyNodes }) {
  if (holder.state === 'loading') return null;
  const read = holder.current?.revision ?? null;
  // Flows that read what the pod was told have it loaded, whatever happened to the files since.
  const failed = holder.problem !== null && (read === null || read !== told);
  const revision = failed ? holder.damaged ?? told : read;
  if (revision === null) return null;
  if (told !== null && told !== revision && !holder.hasRead(told)) return null;
  const error = failed ? holder.problem : runtime.protection === 'none' ? 'ProtectionUnavailable' : null;
  return { revision, ...(error !== null && { error }), runtime, ...(legacyNodes !== null && { legacyNodes }) };
}

/**
 * Sees to it that the operator knows what is due: sent once, and again until it was taken. Only the newest counts.
 *
 * Flows never wait for it. However long the operator is away, the log has one line at the start and one at the end.
 */
class Acks {
  #standing;
  #client;
  #log;
  #random;
  /** What the operator has taken last. */
  #taken = '';
  /** What was tried last, and how often in vain. */
  #tried = '';
  #failures = 0;
  /** Not before the operator's Retry-After. */
  #quiet = false;
  #sending = false;
  #away = false;
  #closed = false;
  /** @type {NodeJS.Timeout | null} */
  #timer = null;

  /**
   * @param {{standing: () => Standing, client: Pick<import('./client').Client, 'call'>, log: import('./log').Log,
   *   random?: () => number}} parts
   */
  constructor({ standing, client, log, random = Math.random }) {
    this.#standing = standing;
    this.#client = client;
    this.#log = log;
    this.#random = random;
  }

  /**
   * Something moved: look whether there is something to say.
   * @param {{swapped?: boolean}} [what] `swapped`: the files, the token among them, so that trying again may help
   */
  look({ swapped = false } = {}) {
    const now = this.#due();
    if (now === null || this.#sending) return;
    if (now.text === this.#taken) return this.#wait(null);
    const again = now.text === this.#tried && !swapped;
    // A retry is on its way for these very words, or the operator asked for quiet.
    if (this.#timer !== null && (again || this.#quiet)) return;
    this.#wait(null);
    this.#send(now.ack, now.text);
  }

  #due() {
    const ack = this.#closed ? null : due(this.#standing());
    return ack === null ? null : { ack, text: JSON.stringify(ack) };
  }

  close() {
    this.#closed = true;
    this.#wait(null);
  }

  /**
   * @param {Ack} ack
   * @param {string} text
   */
  async #send(ack, text) {
    this.#sending = true;
    this.#tried = text;
    const outcome = await this.#call(ack);
    this.#sending = false;
    if (outcome === 'taken') this.#settle(text);
    else if (outcome !== 'not told') this.#retry(outcome);
    if (this.#due()?.text !== text) this.look(); // Something moved meanwhile.
  }

  /**
   * @param {Ack} ack
   * @returns {Promise<'taken' | 'not told' | {why: string, afterMs: number | null}>} `why`: for people
   */
  async #call(ack) {
    try {
      const { status, body, retryAfterMs } = await this.#client.call('POST', '/v1/acks', { body: ack });
      if (status >= 200 && status < 300) return 'taken';
      return { why: [status, reason(body?.reason)].filter(Boolean).join(' '), afterMs: retryAfterMs };
    } catch (error) {
      if (!(error instanceof NoAnswer)) return { why: 'RuntimeError', afterMs: null };
      // Not told whom to call: the swap that tells it brings us back here.
      return error.word === 'NotTold' ? 'not told' : { why: error.message, afterMs: null };
    }
  }

  /** @param {string} text */
  #settle(text) {
    if (this.#away) this.#log.info('acks.back');
    this.#away = false;
    this.#taken = text;
    this.#failures = 0;
  }

  /** @param {{why: string, afterMs: number | null}} outcome */
  #retry({ why, afterMs }) {
    if (!this.#away) this.#log.warn('acks.away', { why });
    this.#away = true;
    this.#taken = ''; // It may have arrived, and only the answer been lost.
    const ms = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LAST_RETRY_MS);
    this.#failures += 1;
    this.#quiet = afterMs !== null;
    // Half to whole, so that a hundred pods that lost the operator together do not come back together.
    this.#wait(Math.max(ms * (1 + this.#random()) / 2, Math.min(afterMs ?? 0, LAST_RETRY_MS)));
  }

  /** @param {number | null} ms null: no longer */
  #wait(ms) {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms === null || this.#closed ? null : setTimeout(() => {
      this.#timer = null;
      this.look();
    }, ms);
    this.#timer?.unref();
  }
}

module.exports = { Acks, due };
