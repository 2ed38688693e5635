'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');

const { Holder } = require('../../src/holder');
const { Loader } = require('../../src/loader');
const { KubeletVolume, delivered } = require('../kubelet-volume');
const { linesOf } = require('./parts');

/** @param {import('node:test').TestContext} t */
function loading(t, place = '') {
  const at = KubeletVolume.create();
  t.after(() => at.remove());
  const holder = new Holder();
  const { lines, log } = linesOf();
  return { at, holder, lines, loader: new Loader(path.join(at.path, place), holder, log) };
}

test('what is there at the start is there before anything else happens', (t) => {
  const { at, holder, lines, loader } = loading(t);
  at.swap(delivered({ version: 3, text: { A: '1' } }));
  assert.equal(loader.first(60_000), undefined);
  assert.equal(holder.current?.version, 3);
  assert.deepEqual(lines, ['info loaded.version 3 1 0 0']);
});

test('a mount without secrets is waited for, and no longer than until they come', async (t) => {
  const { at, holder, loader } = loading(t);
  at.swap({ '.spacesync/token': 'x' });
  const waiting = loader.first(60_000);
  loader.load();
  assert.equal(holder.state, 'loading');
  at.swap(delivered({ text: { A: '1' } }));
  loader.load();
  await waiting;
  assert.equal(holder.state, 'loaded');
});

test('after the wait flows start without', async (t) => {
  const { at, holder, lines, loader } = loading(t);
  await loader.first(5);
  assert.deepEqual([holder.state, holder.problem], ['waiting', 'SnapshotMissing']);
  assert.deepEqual(lines, ['warn kept.nothing SnapshotMissing problem.waiting']);
  at.swap(delivered({ text: { A: '1' } }));
  loader.load();
  assert.equal(holder.state, 'loaded');
});

test('where nothing is mounted, or what is there is broken, there is no waiting, and it is said once', (t) => {
  const absent = loading(t, 'nowhere');
  assert.equal(absent.loader.first(60_000), undefined);
  absent.loader.load();
  assert.equal(absent.lines.length, 1);
  assert.match(absent.lines[0], /^warn kept\.nothing SnapshotMissing problem\.absent /);
  const broken = loading(t);
  broken.at.swap({ '.spacesync.json': '{' });
  assert.equal(broken.loader.first(60_000), undefined);
  assert.deepEqual([broken.holder.state, broken.holder.problem], ['waiting', 'SnapshotMalformed']);
});

test('whatever happens to the files, flows keep the last good snapshot; each trouble is one line, and so is its end', (t) => {
  const { at, holder, lines, loader } = loading(t);
  const good = delivered({ version: 4, text: { A: '1', B: '2' } });
  at.swap(good);
  loader.load();
  const { current } = holder;
  lines.length = 0;
  const { A: _, ...half } = delivered({ version: 5, text: { A: '9', B: '9' } });
  const troubles = [half, { ...half, '.spacesync/token': 'renewed' }, { '.spacesync/token': 'x' }, good];
  for (const files of troubles) {
    at.swap(files);
    loader.load();
    assert.equal(holder.current, current);
  }
  assert.deepEqual(lines, [
    'warn kept.version SnapshotIncomplete problem.keys-missing keys-missing A 4',
    'warn kept.version SnapshotMissing problem.empty 4',
    'info loaded.again 4',
  ]);
});

test('a renewed token says nothing and changes nothing', (t) => {
  const { at, holder, lines, loader } = loading(t);
  at.swap(delivered({ text: { A: '1' }, told: { token: 'old' } }));
  loader.load();
  lines.length = 0;
  holder.on('swap', () => assert.fail('no swap'));
  at.swap(delivered({ text: { A: '1' }, told: { token: 'new' } }));
  loader.load();
  assert.deepEqual(lines, []);
});

test('keys with numbers that JavaScript cannot hold are named when they come, not at every version', (t) => {
  const { at, lines, loader } = loading(t);
  for (const version of [1, 2]) {
    at.swap(delivered({ version, text: { A: `${version}` }, rawJson: { BIG: '[9007199254740993]' } }));
    loader.load();
  }
  assert.deepEqual(lines.filter((line) => line.startsWith('warn')), ['warn loaded.inexact BIG']);
});

test('a fault of whoever listens neither ends the watching nor quotes a value', (t) => {
  const { at, holder, lines, loader } = loading(t);
  holder.once('swap', (snapshot) => { throw new TypeError(snapshot.text('A')); });
  at.swap(delivered({ text: { A: 'hunter2' } }));
  loader.load();
  assert.deepEqual([holder.state, holder.problem], ['stale', 'RuntimeError']);
  assert.doesNotMatch(lines.join('\n'), /hunter2/);
  loader.load();
  assert.equal(holder.state, 'loaded');
});
