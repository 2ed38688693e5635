'use strict';

/** A flow that writes SECRETS with every message is told once in a while, not once a message. */
const QUIET_MS = 60_000;

/** Says no to a write, without ever throwing: a throw out of a store ends Node-RED where a timer wrote. */
class Refusals {
  #warnedAt = -Infinity;

  /**
   * @param {() => void} warn
   * @param {() => number} [now] in milliseconds
   */
  constructor(warn, now = () => performance.now()) {
    this.warn = warn;
    this.now = now;
  }

  /** @returns {Error} for the writer's callback */
  refuse() {
    if (this.now() - this.#warnedAt >= QUIET_MS) {
      this.#warnedAt = this.now();
      this.warn();
    }
    return new Error('SECRETS and SECRETS_METADATA are read-only');
  }
}

module.exports = { Refusals };
