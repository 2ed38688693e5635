'use strict';

const WORD = /^[A-Za-z]\w{0,63}$/;

/**
 * The one word that the operator gives for what went wrong. Anything else that may stand in its place, from a proxy say, is
 * not repeated to anybody.
 * @param {unknown} word
 * @returns {string | null}
 */
function reason(word) {
  return typeof word === 'string' && WORD.test(word) ? word : null;
}

module.exports = { reason };
