'use strict';

/** @typedef {Record<string, string | number>} Args names, counts and times; never a value */
/** @typedef {{info: (text: string, args?: Args) => void, warn: (text: string, args?: Args) => void,
 *   error: (text: string, args?: Args) => void, say: (text: string, args?: Args) => string}} Log */

/**
 * The log of Node-RED, with the texts of `locales/`.
 * @param {any} RED
 * @returns {Log}
 */
function createLog(RED) {
  const say = (/** @type {string} */ text, /** @type {Args} */ args = {}) => RED._(text, args);
  const at = (/** @type {'info' | 'warn' | 'error'} */ level) => (/** @type {string} */ text, /** @type {Args} */ args = {}) =>
    RED.log[level](`[secret-manager] ${say(text, args)}`);
  return { info: at('info'), warn: at('warn'), error: at('error'), say };
}

module.exports = { createLog };
