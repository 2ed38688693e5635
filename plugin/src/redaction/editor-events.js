'use strict';

// What the runtime tells the editors that are open: debug messages, the status below a node, notifications, the log of an installation.
// Each is an event that the runtime's own listener sends on, so being called before it is enough.

const { redactEncoded } = require('./debug-sidebar');
const { redactValue } = require('./structure');

/** Where each event carries what is shown. */
const CARRIES = /** @type {const} */ ({ comms: 'data', 'node-status': 'status', 'runtime-event': 'payload', 'event-log': 'payload' });

/**
 * @param {any} RED
 * @param {{readonly redactor: import('./redactor').Redactor}} watch
 * @returns {{close(): void}}
 */
function guardEditorEvents(RED, watch) {
  const guards = Object.entries(CARRIES).map(([event, field]) => {
    /** @param {any} told */
    const guard = (told) => {
      try {
        const sent = told[field];
        const shown = told.topic === 'debug' ? redactEncoded(watch.redactor, sent) : redactValue(watch.redactor, sent);
        // The event belongs to the runtime; the status object in it is the flow's, and is replaced, not changed.
        if (shown !== sent) told[field] = shown;
      } catch {
        told[field] = {};
      }
    };
    RED.events.prependListener(event, guard);
    return () => RED.events.removeListener(event, guard);
  });
  return {
    close() {
      for (const remove of guards) remove();
    },
  };
}

module.exports = { guardEditorEvents };
