'use strict';

const assert = require('node:assert/strict');
const { afterEach, test } = require('node:test');
const { sep } = require('node:path');

const { registryOf } = require('../../../src/legacy/registry');
const { fill } = require('../../../src/legacy/vacancy');

const TYPE = 'old-node';
const SET = 'ours/legacy-node';
const ours = function Ours() {};
const theirs = function Theirs() {};

/** Node-RED's registry, as far as it is asked: `taken` is what somebody registered. */
function registry() {
  const sets = { [SET]: { id: SET, enabled: true, types: [] } };
  const taken = new Map();
  const stock = (type) => taken.get(type);
  return { stock, taken, sets, index: { get: stock }, set: (id) => sets[id] ?? null };
}

let vacancy;
afterEach(() => vacancy?.close());
const filled = (of) => { vacancy = fill(of, { type: TYPE, set: SET, node: ours }); return vacancy; };

test('a type that nobody has is ours, and is listed as ours', () => {
  const red = registry();
  const { ours: mine } = filled(red);
  assert.deepEqual([mine, red.index.get(TYPE), red.sets[SET].types], [true, ours, [TYPE]]);
  assert.equal(red.index.get('another'), undefined);
});

test('who comes before or after has it, and who goes leaves it', () => {
  const red = registry();
  red.taken.set(TYPE, theirs);
  const of = filled(red);
  assert.deepEqual([of.ours, red.index.get(TYPE), red.sets[SET].types], [false, theirs, []]);
  red.taken.delete(TYPE);
  assert.deepEqual([of.ours, red.index.get(TYPE), red.sets[SET].types], [true, ours, [TYPE]]);
  // What Node-RED gives for a set that failed or is disabled.
  red.taken.set(TYPE, null);
  assert.deepEqual([of.ours, red.index.get(TYPE)], [true, ours]);
});

test('a set that is disabled, failed or was removed does not serve', () => {
  for (const change of [(sets) => { sets[SET].enabled = false; }, (sets) => { sets[SET].err = 'failed'; }, (sets) => { delete sets[SET]; }]) {
    const red = registry();
    const of = filled(red);
    const { types } = Object.getOwnPropertyDescriptors(red.sets[SET]);
    change(red.sets);
    assert.deepEqual([of.ours, red.index.get(TYPE), types.get()], [false, undefined, []]);
  }
});

test('one that was closed leaves the registry as it was, unless somebody else stands before it', () => {
  const red = registry();
  filled(red).close();
  assert.equal(red.index.get, red.stock);
  const of = filled(red);
  const { get } = red.index;
  const outer = (type) => get(type);
  red.index.get = outer;
  of.close();
  assert.deepEqual([red.index.get, red.index.get(TYPE)], [outer, undefined]);
});

test('installed once more, the newest serves', () => {
  const red = registry();
  const first = filled(red);
  const newest = function Newest() {};
  vacancy = fill(red, { type: TYPE, set: SET, node: newest });
  assert.deepEqual([red.index.get(TYPE), first.ours, vacancy.ours], [newest, false, true]);
  vacancy.close();
  assert.equal(red.index.get, red.stock);
});

test('the registry is the one that knows our set, and none where Node-RED is of another making', () => {
  const at = (root, file) => [root, 'node_modules', '@node-red', 'registry', 'lib', file].join(sep);
  const one = registry();
  const loaded = {
    [at('/other', 'index.js')]: { exports: { get() {} } },
    [at('/other', 'registry.js')]: { exports: { getFullNodeInfo: () => null } },
    [at('/this', 'index.js')]: { exports: one.index },
    [at('/this', 'registry.js')]: { exports: { getFullNodeInfo: one.set } },
  };
  assert.equal(registryOf(SET, loaded)?.index, one.index);
  assert.equal(registryOf('another/set', loaded), null);
  assert.equal(registryOf(SET, {}), null);
  assert.equal(registryOf(SET, { [at('/this', 'index.js')]: { exports: one.index } }), null);
});
