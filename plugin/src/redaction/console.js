'use strict';

// The console, and every other place that settings.js sends the log to.
//
// Log handlers get their entries redacted. Behind them, what is written to the two output streams is looked at as well: there come the
// `console.log` of a Function node or of somebody's package, and the stack of an error that nobody caught. A value that is written in
// two pieces would pass there.

const { types } = require('node:util');

const { WITHHELD, redactBytes, redactValue } = require('./structure');

/** @typedef {{readonly redactor: import('./redactor').Redactor}} Watch */

/**
 * @param {any} RED
 * @param {Watch} watch
 * @returns {{close(): void}}
 */
function guardConsole(RED, watch) {
  const guards = [guardLog(RED, watch), guardStream(process.stdout, watch), guardStream(process.stderr, watch)];
  return {
    close() {
      for (const guard of guards) guard.close();
    },
  };
}

/**
 * `log.log` of `@node-red/util`: all levels, nodes' entries and audit entries go through it. `RED.log` is a copy for each package, so the
 * module itself is found among those that are loaded, by a function that both have.
 * @param {any} RED
 * @param {Watch} watch
 */
function guardLog(RED, watch) {
  const log = Object.values(require.cache).map((module) => module?.exports)
    .find((exports) => exports !== RED.log && isLog(exports) && exports.addHandler === RED.log.addHandler);
  if (log === undefined) return { close() {} };
  const original = log.log;
  /** @param {any} entry */
  const guarded = (entry) => {
    let shown;
    try {
      shown = redactValue(watch.redactor, entry);
    } catch {
      shown = { ...entry, msg: WITHHELD };
    }
    original(shown);
    // The original sets it, and the caller may look.
    entry.timestamp = shown.timestamp;
  };
  log.log = guarded;
  return {
    close() {
      if (log.log === guarded) log.log = original;
    },
  };
}

/** Without running into other packages' proxies and getters. @param {any} exports */
function isLog(exports) {
  return typeof exports === 'object' && exports !== null && !types.isProxy(exports)
    && Object.getOwnPropertyDescriptor(exports, 'addHandler')?.value !== undefined;
}

/**
 * @param {NodeJS.WriteStream} stream
 * @param {Watch} watch
 */
function guardStream(stream, watch) {
  const own = Object.hasOwn(stream, 'write');
  const original = stream.write;
  /** @param {string | Uint8Array} chunk @param {any[]} rest encoding and callback */
  function write(chunk, ...rest) {
    let shown;
    try {
      shown = typeof chunk === 'string' ? watch.redactor.redact(chunk) : redactBytes(watch.redactor, chunk, Infinity);
    } catch {
      shown = `${WITHHELD}\n`;
    }
    return Reflect.apply(original, stream, [shown, ...rest]);
  }
  stream.write = /** @type {any} */ (write);
  return {
    close() {
      if (stream.write !== /** @type {any} */ (write)) return;
      if (own) stream.write = original;
      else Reflect.deleteProperty(stream, 'write');
    },
  };
}

module.exports = { guardConsole };
