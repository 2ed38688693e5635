'use strict';

/** @typedef {import('../snapshot').Snapshot} Snapshot */
/** @typedef {import('./names').Path} Path */

/** What stands in place of a value wherever people look. Of one length, so that it tells nothing. */
const MASK = '••••••••';

/**
 * What a flow reads at a path: a copy of its own, so that it may change what it was given.
 * @param {Snapshot | null} snapshot
 * @param {Path} path
 * @returns {unknown}
 */
function answer(snapshot, [name, key, ...rest]) {
  if (snapshot === null) return undefined;
  if (name === 'SECRETS_METADATA') return walk(snapshot.metadata(), key === undefined ? [] : [key, ...rest]);
  if (key === undefined) return everything(snapshot);
  return walk(snapshot.value(String(key)), rest);
}

/**
 * What people see at a path: names and times in clear, never a value, nor what a JSON value is made of.
 * @param {Snapshot | null} snapshot
 * @param {Path} path
 * @returns {unknown}
 */
function mask(snapshot, path) {
  const [name, key] = path;
  if (snapshot === null || name === 'SECRETS_METADATA') return answer(snapshot, path);
  if (key === undefined) return Object.fromEntries(snapshot.keys.map((secret) => [secret.name, MASK]));
  return snapshot.has(String(key)) ? MASK : undefined;
}

/**
 * All of a snapshot's values, for as long as it is read: `global.SECRETS.x` needs them all, and to spread an object that is
 * there costs a twentieth of building it.
 * @type {WeakMap<Snapshot, object>}
 */
const SPREAD = new WeakMap();

/**
 * `fromEntries` and the spread define their properties, so a key named `__proto__` is a key like any other.
 * @param {Snapshot} snapshot
 * @returns {object}
 */
function everything(snapshot) {
  const known = SPREAD.get(snapshot);
  const all = known ?? Object.fromEntries(snapshot.keys.map(({ name }) => [name, snapshot.value(name)]));
  if (known === undefined) SPREAD.set(snapshot, all);
  /** @type {Record<string, unknown>} */
  const copy = { ...all };
  for (const { name, format } of snapshot.keys) {
    if (format === 'json') copy[name] = snapshot.value(name);
  }
  return copy;
}

/**
 * Only what a value holds itself: `constructor` and the like are no part of a secret.
 * @param {any} value
 * @param {Path} path
 * @returns {unknown}
 */
function walk(value, path) {
  return path.reduce((at, part) => (at !== null && at !== undefined && Object.hasOwn(at, part) ? at[part] : undefined), value);
}

module.exports = { MASK, answer, mask };
