'use strict';

// Keeps values out of what is shown: debug sidebar, status, warnings and errors, the console. Flows see what they always saw.
//
// It is a net against accidents, not a wall: who may edit flows can write one that shows a value letter by letter.

const { guardConsole } = require('./console');
const { guardDebugSidebar } = require('./debug-sidebar');
const { guardEditorEvents } = require('./editor-events');
const { WatchList } = require('./watch-list');

/**
 * @param {any} RED
 * @param {import('node:events').EventEmitter & {readonly current: import('./redactor').SecretSource | null}} holder
 * @returns {{close(): void}}
 */
function install(RED, holder) {
  const watch = new WatchList(holder);
  const parts = [watch, guardDebugSidebar(RED, watch), guardEditorEvents(RED, watch), guardConsole(RED, watch)];
  return {
    close() {
      for (const part of parts.reverse()) part.close();
    },
  };
}

module.exports = { install };
