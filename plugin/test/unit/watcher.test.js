'use strict';

const assert = require('node:assert/strict');
const { once, EventEmitter } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const mount = require('../../src/mount');
const { Watcher } = require('../../src/watcher');
const { KubeletVolume, delivered } = require('../kubelet-volume');

/**
 * A mount that is watched, and the versions that were read when the watcher told of a swap.
 * @param {import('node:test').TestContext} t
 * @param {{folder?: string, pollMs?: number}} [options]
 */
function watched(t, { folder, pollMs } = {}) {
  const at = folder === undefined ? KubeletVolume.create() : new KubeletVolume(folder);
  /** @type {(number | string)[]} */
  const seen = [];
  const told = new EventEmitter();
  const watcher = new Watcher(at.path, () => {
    const reading = mount.read(at.path);
    seen.push(reading.kind === 'whole' ? reading.snapshot.version : reading.kind);
    told.emit('told');
  }, { pollMs });
  const alive = setInterval(() => {}, 1000); // The watcher itself keeps no process alive.
  t.after(() => {
    clearInterval(alive);
    watcher.close();
    at.remove();
  });
  const until = async (/** @type {number | string} */ version) => {
    while (seen.at(-1) !== version) await once(told, 'told', { signal: AbortSignal.timeout(10_000) });
  };
  return { at, seen, until };
}

const version = (/** @type {number} */ version) => delivered({ version, text: { A: `of ${version}` } });

test('every swap is told of, not the first only', async (t) => {
  const { at, seen, until } = watched(t);
  for (let n = 1; n <= 20; n += 1) {
    at.swap(version(n));
    await until(n);
  }
  assert.deepEqual([...new Set(seen)], Array.from({ length: 20 }, (_, n) => n + 1));
});

test('of several swaps at once the last is what is read in the end', async (t) => {
  const { at, until } = watched(t);
  for (let round = 0; round < 20; round += 1) {
    at.swap(version(round * 3 + 1));
    at.swap(version(round * 3 + 2));
    if (round % 2) await new Promise(setImmediate);
    at.swap(version(round * 3 + 3));
    await until(round * 3 + 3);
  }
});

test('what is no swap is not told of: another file, the old link touched as with fsGroup', async (t) => {
  const { at, seen, until } = watched(t);
  at.swap(version(1));
  await until(1);
  const before = seen.length;
  const other = fs.watch(at.path);
  t.after(() => other.close());
  fs.writeFileSync(path.join(at.path, 'other'), '');
  fs.renameSync(path.join(at.path, 'other'), path.join(at.path, 'another'));
  fs.lutimesSync(path.join(at.path, '..data'), 1, 1);
  fs.rmSync(path.join(at.path, 'another'));
  // Watches of one folder are told in the order in which they were set: when this one knows of the last, so does ours.
  for (let touched = false, last; !touched || last !== 'another';) {
    const [, name] = await once(other, 'change', { signal: AbortSignal.timeout(10_000) });
    touched ||= name === '..data';
    last = name;
  }
  assert.equal(seen.length, before);
});

test('a mount that comes late, or is another one later, is found', async (t) => {
  const place = KubeletVolume.create();
  t.after(() => place.remove());
  const folder = path.join(place.path, 'late');
  const { at, until } = watched(t, { folder, pollMs: 5 });
  fs.mkdirSync(folder);
  at.swap(version(1));
  await until(1);
  fs.renameSync(folder, `${folder}.old`);
  fs.mkdirSync(folder);
  at.swap(version(2));
  await until(2);
  at.swap(version(3));
  await until(3);
});

test('what the watch does not tell of, the poll sees', async (t) => {
  t.mock.method(fs, 'watch', () => new (class extends EventEmitter { close() {} })());
  const { at, until } = watched(t, { pollMs: 5 });
  at.swap(version(1));
  await until(1);
});

test('where no watch can be had, a swap is seen within a moment', async (t) => {
  t.mock.method(fs, 'watch', () => { throw Object.assign(new Error('no instances left'), { code: 'EMFILE' }); });
  const { at, until } = watched(t);
  for (const n of [1, 2]) {
    at.swap(version(n));
    await until(n);
  }
});

test('a watch that breaks is set again', async (t) => {
  /** @type {(EventEmitter & {close: () => void})[]} */
  const watches = [];
  const watch = fs.watch;
  t.mock.method(fs, 'watch', (/** @type {any[]} */ ...args) => {
    const made = /** @type {any} */ (watch)(...args);
    watches.push(made);
    return made;
  });
  const { at, until } = watched(t, { pollMs: 5 });
  watches[0].emit('error', new Error('overflow'));
  while (watches.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  at.swap(version(1));
  await until(1);
});

test('one that was closed tells of nothing more', async (t) => {
  const at = KubeletVolume.create();
  t.after(() => at.remove());
  let told = 0;
  const watcher = new Watcher(at.path, () => { told += 1; }, { pollMs: 1 });
  watcher.close();
  at.swap(version(1));
  const other = fs.watch(at.path);
  at.swap(version(2));
  await once(other, 'change');
  other.close();
  assert.equal(told, 0);
});
