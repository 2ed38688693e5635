'use strict';

// Keeps values out of what is shown: debug sidebar, status, warnings and errors, the console. Flows see what they always saw.
//
// It is a net against accidents, not a wall: who may edit flows can write one that shows a value letter by letter.

const { guardConsole } = require('./console');
const { guardDebugSidebar } = require('./debug-sidebar');
const { guardEditorEvents } = require('./editor-events');
const { WatchList } = require('./watch-list');

/** The installation before, also of another copy of this package: the newest serves. */
const INSTALLED = Symbol.for('spacesync.redaction');

/**
 * @param {any} RED
 * @param {import('node:events').EventEmitter & {readonly current: import('./redactor').SecretSource | null}} holder
 * @returns {{close: () => void}}
 */
function install(RED, holder) {
  /** @type {any} */ (globalThis)[INSTALLED]?.close();
  const watch = new WatchList(holder);
  const parts = [watch, guardDebugSidebar(RED, watch), guardEditorEvents(RED, watch), guardConsole(RED, watch)];
  const redaction = {
    close() {
      for (const part of parts.splice(0).reverse()) part.close();
      if (/** @type {any} */ (globalThis)[INSTALLED] === redaction) delete /** @type {any} */ (globalThis)[INSTALLED];
    },
  };
  /** @type {any} */ (globalThis)[INSTALLED] = redaction;
  return redaction;
}

module.exports = { install };
