'use strict';

const { NoAnswer } = require('../../../src/client');

/** A client of which each call waits for the test to answer it. */
class Asked {
  constructor() {
    /** @type {{method: string, path: string, body: any, headers: any}[]} */
    this.calls = [];
    /** @type {{resolve: (answer: any) => void, reject: (error: Error) => void}[]} */
    this.open = [];
  }

  /** @type {import('../../../src/client').Client['call']} */
  call(method, path, { body, headers } = {}) {
    this.calls.push({ method, path, body, headers });
    return new Promise((resolve, reject) => { this.open.push({ resolve, reject }); });
  }

  /**
   * Answers the oldest call that waits, and lets what follows happen.
   * @param {{status: number, body?: unknown, etag?: string, retryAfterMs?: number} | import('../../../src/client').NoAnswerWord} what
   */
  async answer(what) {
    const first = this.open.shift();
    if (first === undefined) throw new Error('nothing was asked');
    if (typeof what === 'string') first.reject(new NoAnswer(what));
    else first.resolve({ body: null, etag: null, retryAfterMs: null, ...what });
    await settled();
  }
}

/** All that follows of itself has happened. Timers are the test's. */
function settled() {
  return new Promise((resolve) => { setImmediate(resolve); });
}

/**
 * Times stand still until the test moves them.
 * @param {import('node:test').TestContext} t
 */
function clock(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  return {
    /** @param {number} ms */
    async pass(ms) {
      t.mock.timers.tick(ms);
      await settled();
    },
  };
}

module.exports = { Asked, clock, settled };
