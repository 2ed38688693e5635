'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { Problem } = require('./problem');
const { META, parse } = require('./snapshot');

/** @typedef {import('./snapshot').Snapshot} Snapshot */
/**
 * What stood in a mount at one moment. `absent`: there is no mount. `empty`: it holds no secrets (yet).
 * @typedef {{kind: 'whole', snapshot: Snapshot} | {kind: 'absent'} | {kind: 'empty'} | {kind: 'broken', problem: Problem}} Reading
 */
/** Which files the pod is told things by, below `.spacesync/`. @typedef {'token' | 'url' | 'ca.crt' | 'revision' | 'flow-app-version'} Told */

const LINK = '..data';

// A kubelet swaps a volume at most every 100 ms or so; reading 1 MiB takes a few. More tries than this mean that
// somebody else writes there.
const TRIES = 10;

/**
 * Reads a mount as it stands, synchronously and as one: everything from the same target of `..data`.
 * @param {string} mountPath
 * @returns {Reading}
 */
function read(mountPath) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const before = target(mountPath);
    const reading = before === null ? withoutData(mountPath) : readTarget(path.resolve(mountPath, before));
    if (target(mountPath) === before) return reading;
  }
  return { kind: 'broken', problem: new Problem('SnapshotUnreadable', { what: 'restless' }) };
}

/**
 * The folder that `..data` points at now.
 * @param {string} mountPath
 * @returns {string | null} null where there is none
 */
function target(mountPath) {
  try {
    return fs.readlinkSync(path.join(mountPath, LINK));
  } catch {
    return null;
  }
}

/**
 * Some of the files below `.spacesync/`, trimmed, and all from the same moment.
 * @param {string} mountPath
 * @param {Told[]} names
 * @returns {(string | null)[]} null where one is absent, unreadable or empty: not told yet
 */
function toldTogether(mountPath, names) {
  for (let tries = 1; ; tries += 1) {
    const before = target(mountPath);
    const contents = names.map((name) => toldIn(path.resolve(mountPath, before ?? LINK), name));
    if (target(mountPath) === before || tries === TRIES) return contents;
  }
}

/**
 * @param {string} mountPath
 * @param {Told} name
 */
function told(mountPath, name) {
  return toldTogether(mountPath, [name])[0];
}

/**
 * @param {string} folder
 * @param {Told} name
 * @returns {string | null}
 */
function toldIn(folder, name) {
  try {
    return fs.readFileSync(path.join(folder, '.spacesync', name), 'utf8').trim() || null;
  } catch {
    return null;
  }
}

/**
 * @param {string} mountPath
 * @returns {Reading}
 */
function withoutData(mountPath) {
  try {
    fs.readdirSync(mountPath);
    return { kind: 'empty' };
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    return code === 'ENOENT' ? { kind: 'absent' } : { kind: 'broken', problem: unreadable(error) };
  }
}

/**
 * @param {string} folder
 * @returns {Reading}
 */
function readTarget(folder) {
  try {
    const names = fs.readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('..'))
      .map((entry) => entry.name);
    if (names.length === 0) return { kind: 'empty' };
    if (!names.includes(META)) throw new Problem('SnapshotMissing', { what: 'no-meta' });
    const files = new Map(names.map((name) => [name, fs.readFileSync(path.join(folder, name))]));
    const meta = /** @type {Buffer} */ (files.get(META));
    files.delete(META);
    return { kind: 'whole', snapshot: parse(meta, files) };
  } catch (error) {
    return { kind: 'broken', problem: error instanceof Problem ? error : unreadable(error) };
  }
}

/**
 * @param {any} error of the file system
 * @returns {Problem}
 */
function unreadable(error) {
  const file = typeof error?.path === 'string' ? path.basename(error.path) : '';
  return new Problem('SnapshotUnreadable', { what: 'unreadable', file, code: String(error?.code) });
}

module.exports = { LINK, read, target, told, toldTogether };
