'use strict';

const { Problem } = require('./problem');

/** @typedef {'text' | 'json'} Format */
/** @typedef {{readonly name: string, readonly format: Format}} Key */
/**
 * `.spacesync.json`, and all that flows see of it as SECRETS_METADATA.
 * @typedef {{
 *   readonly space: string, readonly version: number, readonly revision: string, readonly createdAt: string,
 *   readonly updatedAt: string, readonly issuedAt: string, readonly keys: readonly Key[]
 * }} Meta
 */
/** @typedef {{added: string[], changed: string[], removed: string[]}} Changes by key name, sorted */

/** The reserved file that describes the others. */
const META = '.spacesync.json';

/** So many names are enough in a log line. */
const SOME = 5;

/** One word, which is compared and never taken apart. */
const REVISION = /^[\w.-]{1,128}$/;

/**
 * All secrets of a space as they were at one moment. It never changes; a new one takes its place as a whole.
 *
 * The values live in a private map: a key named `__proto__` is a key like any other, and no log, inspection or
 * JSON.stringify of a snapshot shows a value.
 */
class Snapshot {
  /** @type {ReadonlyMap<string, string>} */
  #texts;
  /** @type {ReadonlyMap<string, Format>} */
  #formats;

  /**
   * @param {Meta} meta
   * @param {ReadonlyMap<string, string>} texts every key of `meta.keys`, and no other
   */
  constructor(meta, texts) {
    this.space = meta.space;
    this.version = meta.version;
    this.revision = meta.revision;
    this.createdAt = meta.createdAt;
    this.updatedAt = meta.updatedAt;
    this.issuedAt = meta.issuedAt;
    /** @type {readonly Key[]} */
    this.keys = Object.freeze(meta.keys.map(({ name, format }) => Object.freeze({ name, format: known(format) })));
    this.#texts = texts;
    this.#formats = new Map(this.keys.map(({ name, format }) => [name, format]));
    /** Keys whose JSON holds a number that JavaScript cannot hold to the digit. @type {readonly string[]} */
    this.inexact = Object.freeze(this.keys.filter((key) => key.format === 'json' && hasInexactNumber(this.text(key.name) ?? ''))
      .map((key) => key.name));
    Object.freeze(this);
  }

  /** @param {string} name */
  has(name) {
    return this.#formats.has(name);
  }

  /**
   * The value as the store returned it, also where it is JSON.
   * @param {string} name
   * @returns {string | undefined}
   */
  text(name) {
    return this.#texts.get(name);
  }

  /**
   * What a flow gets: text as it is; of JSON a copy of its own at each read, so that a flow may change what it was given.
   * @param {string} name
   * @returns {unknown}
   */
  value(name) {
    const text = this.#texts.get(name);
    return text !== undefined && this.#formats.get(name) === 'json' ? JSON.parse(text) : text;
  }

  /**
   * SECRETS_METADATA, a copy at each read.
   * @returns {{version: number, revision: string, createdAt: string, updatedAt: string, issuedAt: string, keys: Key[]}}
   */
  metadata() {
    const { version, revision, createdAt, updatedAt, issuedAt } = this;
    return { version, revision, createdAt, updatedAt, issuedAt, keys: this.keys.map((key) => ({ ...key })) };
  }

  /**
   * Which keys differ from an earlier snapshot.
   * @param {Snapshot | null} previous
   * @returns {Changes}
   */
  changesSince(previous) {
    const names = this.keys.map((key) => key.name);
    if (previous === null) return { added: names, changed: [], removed: [] };
    const differs = (/** @type {string} */ name) =>
      this.text(name) !== previous.text(name) || this.#formats.get(name) !== previous.#formats.get(name);
    return {
      added: names.filter((name) => !previous.has(name)),
      changed: names.filter((name) => previous.has(name) && differs(name)),
      removed: previous.keys.map((key) => key.name).filter((name) => !this.has(name)),
    };
  }

  /**
   * Whether a flow could tell the two apart.
   * @param {Snapshot | null} other
   */
  equals(other) {
    if (other === null || this.space !== other.space) return false;
    const { added, changed, removed } = this.changesSince(other);
    return added.length + changed.length + removed.length === 0
      && JSON.stringify(this.metadata()) === JSON.stringify(other.metadata());
  }
}

/**
 * Makes a snapshot of what stands in a mount, or throws a {@link Problem}.
 * @param {Buffer} meta the content of `.spacesync.json`
 * @param {ReadonlyMap<string, Buffer>} files every other file, by its name
 * @returns {Snapshot}
 */
function parse(meta, files) {
  const said = parseMeta(meta);
  const named = new Set(said.keys.map((key) => key.name));
  const missing = said.keys.map((key) => key.name).filter((name) => !files.has(name));
  const unnamed = [...files.keys()].filter((name) => !named.has(name));
  if (missing.length > 0) throw incomplete('keys-missing', missing, said);
  if (unnamed.length > 0) throw incomplete('keys-unnamed', unnamed, said);
  const texts = new Map(said.keys.map(({ name, format }) => {
    const text = decode(/** @type {Buffer} */ (files.get(name)));
    if (text === null) throw malformed('not-utf8', name, said);
    if (format === 'json' && !isJson(text)) throw malformed('not-json', name, said);
    return [name, text];
  }));
  return new Snapshot(said, texts);
}

/**
 * @param {Buffer} bytes
 * @returns {Meta}
 */
function parseMeta(bytes) {
  const text = decode(bytes);
  if (text === null || !isJson(text)) throw malformed('not-json', META, null);
  const meta = JSON.parse(text);
  const revision = typeof meta?.revision === 'string' && REVISION.test(meta.revision) ? meta.revision : null;
  const wrong = wrongField(meta, revision);
  if (wrong !== null) throw new Problem('SnapshotMalformed', { what: 'field', file: META, names: wrong }, revision);
  return meta;
}

/**
 * @param {any} meta
 * @param {string | null} revision
 * @returns {string | null} the first field that is not what it should be
 */
function wrongField(meta, revision) {
  if (typeof meta !== 'object' || meta === null) return '{}';
  if (typeof meta.space !== 'string') return 'space';
  if (!Number.isSafeInteger(meta.version) || meta.version < 0) return 'version';
  if (revision === null) return 'revision';
  for (const time of ['createdAt', 'updatedAt', 'issuedAt']) {
    if (typeof meta[time] !== 'string' || Number.isNaN(Date.parse(meta[time]))) return time;
  }
  return Array.isArray(meta.keys) && areKeys(meta.keys) ? null : 'keys';
}

/**
 * A format of another day is text.
 * @param {string} format
 * @returns {Format}
 */
function known(format) {
  return format === 'json' ? 'json' : 'text';
}

/** @param {any[]} keys */
function areKeys(keys) {
  const one = (/** @type {any} */ key) => typeof key?.name === 'string' && typeof key.format === 'string';
  return keys.every(one) && new Set(keys.map((key) => key.name)).size === keys.length;
}

/**
 * @param {'keys-missing' | 'keys-unnamed'} what
 * @param {string[]} names
 * @param {Meta} said
 */
function incomplete(what, names, said) {
  const some = names.slice(0, SOME).join(', ') + (names.length > SOME ? ', …' : '');
  return new Problem('SnapshotIncomplete', { what, names: some }, said.revision);
}

/**
 * @param {'not-json' | 'not-utf8'} what
 * @param {string} file
 * @param {Meta | null} said
 */
function malformed(what, file, said) {
  return new Problem('SnapshotMalformed', { what, file }, said?.revision);
}

/**
 * A byte order mark is part of the text, as everything else is.
 * @param {Buffer} bytes
 * @returns {string | null} null when it is not UTF-8
 */
function decode(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * The parser's own error quotes the text, so it goes no further.
 * @param {string} text
 */
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether valid JSON holds a number beyond 2^53. Strings are stepped over, so digits in them do not count.
 * @param {string} json
 */
function hasInexactNumber(json) {
  for (const [token] of json.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g)) {
    if (!token.startsWith('"') && Math.abs(Number(token)) > Number.MAX_SAFE_INTEGER) return true;
  }
  return false;
}

module.exports = { META, Snapshot, parse };
