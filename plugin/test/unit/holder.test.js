'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Holder } = require('../../src/holder');
const { snapshotOf } = require('./parts');

/** @param {Holder} holder */
function events(holder) {
  /** @type {string[]} */
  const seen = [];
  holder.on('swap', (snapshot, previous, changes) => seen.push(`swap ${previous?.version ?? '-'} → ${snapshot.version} ${JSON.stringify(changes)}`));
  holder.on('state', (state) => seen.push(`state ${state}`));
  return seen;
}

test('a swap is told at once, with what was before and what changed', () => {
  const holder = new Holder();
  const seen = events(holder);
  assert.deepEqual([holder.state, holder.current], ['loading', null]);
  holder.load(snapshotOf({ version: 1, text: { A: '1', B: '1' } }));
  holder.load(snapshotOf({ version: 2, text: { A: '2', C: '1' } }));
  assert.deepEqual(seen, [
    'swap - → 1 {"added":["A","B"],"changed":[],"removed":[]}',
    'state loaded',
    'swap 1 → 2 {"added":["C"],"changed":["A"],"removed":["B"]}',
  ]);
});

test('the same content again is no event, and what flows read stays the very same', () => {
  const holder = new Holder();
  holder.load(snapshotOf({ text: { A: '1' } }));
  const { current } = holder;
  const seen = events(holder);
  holder.load(snapshotOf({ text: { A: '1' } }));
  assert.deepEqual(seen, []);
  assert.equal(holder.current, current);
});

test('what is of no use leaves what is there, stale since the first time', () => {
  const holder = new Holder();
  holder.load(snapshotOf({ text: { A: '1' } }));
  const { current } = holder;
  const seen = events(holder);
  const [first, later] = [new Date(1000), new Date(2000)];
  holder.keep('SnapshotIncomplete', '2-b', first);
  holder.keep('SnapshotIncomplete', '2-b', later);
  holder.keep('SnapshotMissing', null, later);
  assert.deepEqual([holder.state, holder.problem, holder.damaged, holder.staleSince, holder.current], ['stale', 'SnapshotMissing', null, first, current]);
  assert.deepEqual(seen, ['state stale', 'state stale']);
  holder.load(snapshotOf({ text: { A: '1' } }));
  assert.deepEqual([holder.state, holder.problem, holder.staleSince, holder.current], ['loaded', null, null, current]);
  assert.deepEqual(seen.slice(2), ['state loaded'], 'healed with the same content: no swap');
});

test('with nothing to keep it waits', () => {
  const holder = new Holder();
  holder.keep('SnapshotMissing');
  assert.deepEqual([holder.state, holder.problem, holder.staleSince], ['waiting', 'SnapshotMissing', null]);
});

test('it knows which revisions flows have read', () => {
  const holder = new Holder();
  for (let version = 1; version <= 20; version += 1) holder.load(snapshotOf({ version }));
  const known = Array.from({ length: 21 }, (_, n) => n + 1).filter((n) => holder.hasRead(`${n}-0123456789abcdef`));
  assert.deepEqual(known, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
});
