'use strict';

// Redacts values of any shape, for a reader that shows them. What flows hold is never changed: where there is something to replace the
// reader gets a copy, else the very same value.

const { types } = require('node:util');

/** @typedef {import('./redactor').Redactor} Redactor */

/** Stands for what could not be looked at. */
const WITHHELD = '‹SECRETS: withheld, could not be redacted›';

/** Words may lead to further words, each made anew and never ending. */
const MOST_SAID = 100_000;

// A debug message of an HTTP request leads to the whole server; Node-RED shows none of these either.
const INTERNAL_KEYS = new Set(['_req', '_res']);
const INTERNAL_KINDS = new Set(['ServerResponse', 'Socket', 'TLSSocket']);

/**
 * @template T
 * @param {Redactor} redactor
 * @param {T} value
 * @param {number} [enough] the reader cuts strings, lists and bytes after so many
 * @returns {T}
 * @throws {RangeError} where a value nests too deep to be copied, or never ends
 */
function redactValue(redactor, value, enough = Infinity) {
  if (redactor.size === 0) return value;
  if (typeof value === 'string') return /** @type {T} */ (redactor.redact(value, enough));
  if (!isOpen(value)) return value;
  return holdsSecret(redactor, value, enough) ? new Copier(redactor, enough).copy(value) : value;
}

/**
 * Most values hold none, so this looks first, without making anything.
 * @param {Redactor} redactor
 * @param {unknown} value
 * @param {number} enough
 */
function holdsSecret(redactor, value, enough) {
  const seen = new Set();
  const open = [value];
  let said = 0;
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === 'string') {
      if (redactor.redact(next, enough) !== next) return true;
    } else if (isOpen(next) && !seen.has(next)) {
      seen.add(next);
      if (types.isUint8Array(next)) {
        if (redactBytes(redactor, next, enough) !== next) return true;
      } else {
        if (speaks(next)) {
          said += 1;
          if (said > MOST_SAID) throw new RangeError('an object that never ends');
          open.push(saidBy(next));
        }
        push(open, partsOf(next, enough));
      }
    }
  }
  return false;
}

/** Not by spreading: a list may be longer than an argument list may be. @param {unknown[]} open @param {Iterable<unknown>} parts */
function push(open, parts) {
  for (const part of parts) open.push(part);
}

/**
 * Whether there is something inside to look at. A proxy's traps are somebody's code.
 * @param {unknown} value
 * @returns {value is object}
 */
function isOpen(value) {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return false;
  if (types.isUint8Array(value) || types.isMap(value) || types.isSet(value) || Array.isArray(value)) return true;
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value) || types.isDate(value) || types.isRegExp(value)) return false;
  return !INTERNAL_KINDS.has(value.constructor?.name);
}

/**
 * Whether an object has words of its own for what it holds, such as a URL: its parts may be private, and a copy of it no object of its kind.
 * @param {object} value
 */
function speaks(value) {
  return typeof (/** @type {any} */ (value).toJSON) === 'function' || value instanceof URLSearchParams;
}

/** @param {any} value @returns {unknown} */
function saidBy(value) {
  try {
    return value instanceof URLSearchParams ? String(value) : value.toJSON();
  } catch {
    return WITHHELD;
  }
}

/**
 * @param {object} value
 * @param {number} enough
 * @returns {Generator<unknown, void, undefined>}
 */
function* partsOf(value, enough) {
  if (types.isMap(value)) {
    for (const [key, part] of value) yield* [key, part];
  } else if (types.isSet(value)) {
    yield* value;
  } else if (Array.isArray(value)) {
    for (let i = 0; i < value.length && i < enough; i += 1) yield value[i];
  } else {
    for (const [key, part] of propertiesOf(value)) yield* [key, part];
  }
}

/**
 * What a reader shows of an object: what is enumerable, and of an error all. A getter is not called: that may do anything.
 * @param {object} value
 * @returns {Generator<[string, unknown], void, undefined>}
 */
function* propertiesOf(value) {
  for (const key of isError(value) ? Object.getOwnPropertyNames(value) : Object.keys(value)) {
    if (INTERNAL_KEYS.has(key)) continue;
    const property = Object.getOwnPropertyDescriptor(value, key);
    // The stack is a getter of the engine's own.
    if (property && 'value' in property) yield [key, property.value];
    else if (property && key === 'stack' && isError(value)) yield [key, value.stack];
  }
}

/**
 * Errors of the sandbox of Function nodes as well: they are no `instanceof Error` here.
 * @param {object} value
 * @returns {value is Error}
 */
function isError(value) {
  return types.isNativeError(value) || value instanceof Error;
}

/** Copies a value with all that it refers to, in circles too, and replaces on the way. */
class Copier {
  /** @type {Map<object, any>} */
  #copies = new Map();

  /**
   * @param {Redactor} redactor
   * @param {number} enough
   */
  constructor(redactor, enough) {
    this.redactor = redactor;
    this.enough = enough;
  }

  /**
   * @template T
   * @param {T} value
   * @returns {T}
   */
  copy(value) {
    return /** @type {any} */ (typeof value === 'string' ? this.redactor.redact(value, this.enough) : isOpen(value) ? this.#object(value) : value);
  }

  /** @param {object} value @returns {any} */
  #object(value) {
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    if (types.isUint8Array(value)) return redactBytes(this.redactor, value, this.enough);
    if (speaks(value)) return this.#spoken(value);
    const copy = emptyLike(value);
    this.#copies.set(value, copy);
    if (types.isMap(value)) {
      for (const [key, part] of value) /** @type {Map<unknown, unknown>} */ (copy).set(this.copy(key), this.copy(part));
    } else if (types.isSet(value)) {
      for (const part of value) /** @type {Set<unknown>} */ (copy).add(this.copy(part));
    } else if (Array.isArray(value)) {
      for (let i = 0; i < value.length && i < this.enough; i += 1) /** @type {unknown[]} */ (copy)[i] = this.copy(value[i]);
      /** @type {unknown[]} */ (copy).length = value.length;
    } else {
      this.#properties(value, copy);
    }
    return copy;
  }

  /** Its own words, where there is something to replace in them or in it. @param {object} value @returns {any} */
  #spoken(value) {
    this.#copies.set(value, value); // should it lead to itself
    const shown = holdsSecret(this.redactor, value, this.enough) ? this.copy(saidBy(value)) : value;
    this.#copies.set(value, shown);
    return shown;
  }

  /** @param {object} value @param {object} copy */
  #properties(value, copy) {
    const looked = new Map(propertiesOf(value));
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      const shown = looked.has(key)
        ? { value: this.copy(looked.get(key)), enumerable: property.enumerable, writable: true, configurable: true }
        : { ...property, configurable: true };
      Object.defineProperty(copy, this.redactor.redact(key), shown);
    }
  }
}

/** @param {object} value */
function emptyLike(value) {
  if (types.isMap(value)) return new Map();
  if (types.isSet(value)) return new Set();
  if (Array.isArray(value)) return [];
  return Object.create(Object.getPrototypeOf(value));
}

/**
 * Bytes that hold a value as UTF-8 are shown as the redacted text; other bytes as they are.
 * @param {Redactor} redactor
 * @param {Uint8Array} bytes
 * @param {number} enough
 * @returns {Uint8Array}
 */
function redactBytes(redactor, bytes, enough) {
  const length = Math.min(bytes.length, enough + redactor.longest * 3);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString();
  const redacted = redactor.redact(text, enough);
  if (redacted === text) return bytes;
  const copy = Buffer.from(redacted);
  return Buffer.isBuffer(bytes) ? copy : new Uint8Array(copy);
}

module.exports = { WITHHELD, redactValue, redactBytes };
