'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');

const { configured, wrapFactories } = require('../../../src/protection/stores');

/** Stands for Node-RED's own stores: only `memory` is there. */
const builtIn = (name) => {
  if (name !== 'memory') throw new Error('not found');
  return (config) => ({ name, config });
};

describe('the stores of settings.js', () => {
  it('are those that Node-RED opens', () => {
    assert.deepEqual(configured(undefined), []);
    assert.deepEqual(configured({}), []);
    const file = { module: 'localfilesystem' };
    assert.deepEqual(configured({ default: 'file', file, _: { module: 'memory' } }), [['file', file]]);
  });

  it('are guarded when Node-RED makes them, whether named, required or one’s own', () => {
    const custom = (config) => ({ name: 'custom', config });
    const storage = { default: 'a', a: { module: 'memory', config: { x: 1 } }, b: { module: custom } };
    const undo = wrapFactories(storage, builtIn, (store, name) => ({ guarded: store, name }));
    assert.deepEqual(storage.a.module({ x: 1 }), { guarded: { name: 'memory', config: { x: 1 } }, name: 'a' });
    assert.deepEqual(storage.b.module({}), { guarded: { name: 'custom', config: {} }, name: 'b' });
    assert.equal(storage.default, 'a');
    undo();
    assert.deepEqual(storage, { default: 'a', a: { module: 'memory', config: { x: 1 } }, b: { module: custom } });
  });

  it('keep the name that Node-RED logs', () => {
    const named = Object.assign(() => ({}), { toString: () => 'redis' });
    const storage = { a: { module: 'memory' }, b: { module: named }, c: { module: () => ({}) } };
    wrapFactories(storage, builtIn, (store) => store);
    assert.equal(String(storage.a.module), 'memory');
    assert.equal(String(storage.b.module), 'redis');
    assert.ok(!Object.hasOwn(storage.c.module, 'toString'));
  });

  it('are left alone where Node-RED cannot load them, so that it says so itself', () => {
    const storage = { a: { module: 'no-such-store' }, b: {}, c: { module: 7 } };
    wrapFactories(storage, builtIn, () => assert.fail('no store'));
    assert.deepEqual(storage, { a: { module: 'no-such-store' }, b: {}, c: { module: 7 } });
  });

  it('are all left alone where one cannot be changed', () => {
    const storage = { a: { module: 'memory' }, b: Object.freeze({ module: 'memory' }) };
    assert.throws(() => wrapFactories(storage, builtIn, (store) => store), TypeError);
    assert.deepEqual(storage, { a: { module: 'memory' }, b: { module: 'memory' } });
  });

  it('are not given back over what somebody else has put there since', () => {
    const storage = { a: { module: 'memory' } };
    const undo = wrapFactories(storage, builtIn, (store) => store);
    const theirs = () => ({});
    storage.a.module = theirs;
    undo();
    assert.equal(storage.a.module, theirs);
  });
});
