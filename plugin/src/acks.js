'use strict';

const { NoAnswer } = require('./client');

/** @typedef {import('./problem').ProblemWord} ProblemWord */
/** @typedef {{name: string, version: string, plugin: string, protection: string}} Runtime */
/** @typedef {{revision: string, error?: ProblemWord, runtime: Runtime, legacyNodes?: number}} Ack */
/**
 * All that an ack is made of.
 * @typedef {{
 *   holder: Pick<import('./holder').Holder, 'current' | 'state' | 'problem' | 'damaged'>,
 *   told: string | null, runtime: Runtime, legacyNodes: number | null
 * }} Standing `told`: the revision that the pod was told to load; `legacyNodes`: null before they were counted
 */

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** A refusal that the same words meet again: somebody must act first. */
const REFUSED_RETRY_MS = 5 * 60_000;

/**
 * What is to be acknowledged now: the revision inside the snapshot that flows read, or the one that could not be loaded.
 *
 * Nothing, while the pod was told another revision than the files hold: the volume is not there yet (or ahead; then the
 * signal follows), and the next swap brings both together.
 * @param {Standing} standing
 * @returns {Ack | null}
 */
function due({ holder, told, runtime, legacyNodes }) {
  if (holder.state === 'loading') return null;
  const read = holder.current?.revision ?? null;
  // Flows that read what the pod was told have it loaded, whatever happened to the files since.
  const failed = holder.problem !== null && (read === null || read !== told);
  const revision = failed ? holder.damaged ?? told : read;
  if (revision === null || (told !== null && told !== revision)) return null;
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
  /** What was last tried in vain, and how often. */
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

  /** Something moved: look whether there is something to say. */
  look() {
    const now = this.#due();
    if (now === null || this.#sending) return;
    if (now.text === this.#taken) return this.#wait(null);
    // A retry is under way for these very words, or the operator asked for quiet.
    if (this.#timer !== null && (this.#quiet || now.text === this.#tried)) return;
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
    if (outcome.retry) this.#retry(outcome);
    else this.#settle(outcome.taken ? text : this.#taken);
    if (this.#due()?.text !== text) this.look(); // Something moved meanwhile.
  }

  /**
   * @param {Ack} ack
   * @returns {Promise<{taken: boolean, retry: boolean, refused?: boolean, afterMs?: number | null, why?: string}>}
   */
  async #call(ack) {
    try {
      const { status, body, retryAfterMs } = await this.#client.call('POST', '/v1/acks', { body: ack });
      if (status >= 200 && status < 300) return { taken: true, retry: false };
      const reason = /^\w{1,64}$/.test(body?.reason) ? ` ${body.reason}` : '';
      const refused = status >= 300 && status < 500 && ![401, 408, 429].includes(status);
      return { taken: false, retry: true, refused, afterMs: retryAfterMs, ...(status !== 429 && { why: `${status}${reason}` }) };
    } catch (error) {
      // Not told whom to call: the swap that tells it brings us back here.
      if (error instanceof NoAnswer && error.word === 'NotTold') return { taken: false, retry: false };
      return { taken: false, retry: true, why: error instanceof NoAnswer ? error.message : 'RuntimeError' };
    }
  }

  /** @param {string} taken */
  #settle(taken) {
    if (taken !== this.#taken && this.#away) {
      this.#away = false;
      this.#log.info('acks.back');
    }
    this.#taken = taken;
    this.#tried = '';
    this.#failures = 0;
    this.#quiet = false;
  }

  /** @param {{refused?: boolean, afterMs?: number | null, why?: string}} outcome */
  #retry({ refused, afterMs, why }) {
    if (why !== undefined && !this.#away) {
      this.#away = true;
      this.#log.warn('acks.away', { why });
    }
    const ms = refused ? REFUSED_RETRY_MS : Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LAST_RETRY_MS);
    this.#failures += 1;
    this.#quiet = typeof afterMs === 'number';
    // Half to whole, so that a hundred pods do not come back together.
    this.#wait(Math.max(ms * (1 + this.#random()) / 2, (afterMs ?? 0) * (1 + this.#random() / 10)));
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
