'use strict';

const { NoAnswer } = require('../client');
const { reason } = require('../reason');

/**
 * Why something could not be done: `reason` is one word, which editors have texts for; `message` says what to do.
 * @typedef {{status: number, reason: string, message: string}} Refusal
 */

/**
 * Of a call that had no answer.
 * @param {unknown} error
 * @param {import('../log').Log} log
 * @returns {Refusal}
 */
function ofNoAnswer(error, log) {
  if (!(error instanceof NoAnswer)) return own(500, 'RuntimeError', log, { kind: error instanceof Error ? error.name : 'unknown' });
  return own(error.word === 'TimedOut' ? 504 : 502, error.word, log, { why: error.message });
}

/**
 * Of an answer that is none of those that were hoped for. Who asks the operator is the pod, so that its "who are you" must
 * not send the person at the editor to the sign-in.
 * @param {import('../client').Answer} answer
 * @param {import('../log').Log} log
 * @returns {Refusal}
 */
function ofAnswer({ status, body }, log) {
  const word = reason(body?.reason);
  if (status < 400 || word === null) return own(502, 'Malformed', log, { status });
  const message = typeof body.detail === 'string' ? body.detail : log.say('refused.Malformed', { status });
  return { status: status === 401 ? 502 : status, reason: word, message };
}

/**
 * One of the plugin's own.
 * @param {number} status
 * @param {string} word
 * @param {import('../log').Log} log
 * @param {import('../log').Args} [args]
 * @returns {Refusal}
 */
function own(status, word, log, args = {}) {
  return { status, reason: word, message: log.say(`refused.${word}`, args) };
}

module.exports = { ofAnswer, ofNoAnswer, own };
