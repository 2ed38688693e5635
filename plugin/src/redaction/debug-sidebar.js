'use strict';

// The debug sidebar. Debug nodes and the log's warnings go through `RED.util.encodeObject`, which writes a message as JSON and cuts its
// strings at `debugMaxLength`. What is replaced before the cut cannot leave its beginning there.

const { WITHHELD, redactValue } = require('./structure');

/** Node-RED's own, where a caller does not say. */
const MAX_LENGTH = 1000;

/**
 * @param {any} RED
 * @param {{readonly redactor: import('./redactor').Redactor}} watch
 * @returns {{close(): void}}
 */
function guardDebugSidebar(RED, watch) {
  const { util } = RED; // one object for all nodes
  const original = util.encodeObject;
  /** @param {any} message @param {any} [options] */
  function encodeObject(message, options) {
    try {
      // The envelope is the debug node's, and encodeObject writes into it; what it carries is the flow's.
      const enough = options?.maxLength ?? MAX_LENGTH;
      for (const field of Object.keys(message)) message[field] = redactValue(watch.redactor, message[field], enough);
    } catch {
      // Something that cannot be looked at or copied. What is shown of it is looked at below.
    }
    const encoded = original(message, options);
    try {
      return redactEncoded(watch.redactor, encoded);
    } catch {
      return { ...encoded, topic: undefined, format: 'string', msg: WITHHELD };
    }
  }
  util.encodeObject = encodeObject;
  return {
    close() {
      if (util.encodeObject === encodeObject) util.encodeObject = original;
    },
  };
}

/**
 * What encodeObject made, for all that only showed itself when it was written: getters, `toJSON`, classes.
 * @param {import('./redactor').Redactor} redactor
 * @param {any} encoded
 */
function redactEncoded(redactor, encoded) {
  const { msg, format, ...envelope } = encoded;
  const shown = typeof msg === 'string' && !String(format).startsWith('string') ? redactJson(redactor, msg) : redactValue(redactor, msg);
  const around = redactValue(redactor, envelope);
  return shown === msg && around === envelope ? encoded : { ...around, format, msg: shown };
}

/**
 * Inside JSON a value may begin with the letter of an escape, as after `\n`: the editor must still be able to read what is left.
 * @param {import('./redactor').Redactor} redactor
 * @param {string} json
 */
function redactJson(redactor, json) {
  const redacted = redactor.redact(json);
  if (redacted === json) return json;
  try {
    return JSON.stringify(redactValue(redactor, JSON.parse(json)));
  } catch {
    return redacted;
  }
}

module.exports = { guardDebugSidebar, redactEncoded };
