'use strict';

const functionNode = require('./function-node');
const httpRequest = require('./http-request');

/** The installation before, also of another copy of this package: the newest serves. */
const INSTALLED = Symbol.for('spacesync.reading');

/**
 * The ways to read SECRETS that Node-RED does not have by itself. All others (`global.get`, typed inputs, JSONata,
 * mustache in the template node) read the context stores and need nothing more than the protection.
 *
 * Whatever is read here comes out of a context store too, so nothing is shown that the protection would not show, and
 * without a protection there is nothing to read.
 * @param {any} RED
 * @returns {{close: () => void}}
 */
function install(RED) {
  /** @type {any} */ (globalThis)[INSTALLED]?.close();
  const undo = [functionNode.install(), httpRequest.install(RED)];
  const reading = {
    close() {
      undo.splice(0).forEach((one) => one());
      if (/** @type {any} */ (globalThis)[INSTALLED] === reading) delete /** @type {any} */ (globalThis)[INSTALLED];
    },
  };
  /** @type {any} */ (globalThis)[INSTALLED] = reading;
  return reading;
}

module.exports = { install };
