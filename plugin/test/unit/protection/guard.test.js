'use strict';

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { describe, it } = require('node:test');
const { util } = require('@node-red/util');
const memory = require('@node-red/runtime/lib/nodes/context/memory');

const { Guard } = require('../../../src/protection/guard');
const { Names } = require('../../../src/reading/names');

const ANSWERS = { SECRETS: { token: 'value-of-token' }, SECRETS_METADATA: { version: 7 } };

/**
 * A guarded memory store of Node-RED, and what was behind it and refused by it.
 * @param {object} [owner]
 */
function guarded(owner = {}, store = memory({})) {
  const refused = [];
  const guard = new Guard(store, {
    names: new Names(util.normalisePropertyExpression),
    answer: (path) => path.reduce((at, part) => at?.[part], ANSWERS),
    listed: () => true,
    refuse: () => {
      const error = new Error('read-only');
      refused.push(error);
      return error;
    },
    remember: (callback) => callback,
    opened: async () => {},
    ...owner,
  });
  return { store: guard.mount(), behind: guard.stock, guard, refused };
}

/** What a store calls back with. */
function calledBack(call) {
  return new Promise((resolve) => call((...given) => resolve(given)));
}

describe('a guarded store', () => {
  it('answers for SECRETS, by any way of asking', async () => {
    const { store } = guarded();
    assert.equal(store.get('global', 'SECRETS.token'), 'value-of-token');
    assert.equal(store.get('global', 'SECRETS["token"]'), 'value-of-token');
    assert.deepEqual(store.get('global', 'SECRETS_METADATA'), { version: 7 });
    assert.deepEqual(await calledBack((done) => store.get('global', 'SECRETS.token', done)), [undefined, 'value-of-token']);
    assert.equal(store.get('global', 'SECRETS.other'), undefined);
  });

  it('answers an array of keys in its order, ours and others mixed', async () => {
    const { store } = guarded();
    store.set('global', 'mine', 1);
    assert.deepEqual(store.get('global', ['mine', 'SECRETS.token', 'none', 'SECRETS_METADATA.version']), [1, 'value-of-token', undefined, 7]);
    assert.deepEqual(await calledBack((done) => store.get('global', ['SECRETS.token', 'mine'], done)), [undefined, 'value-of-token', 1]);
    assert.deepEqual(await calledBack((done) => store.get('global', ['SECRETS.token'], done)), [undefined, 'value-of-token']);
  });

  it('leaves other keys, other scopes and look-alikes to the store', () => {
    const { store, refused } = guarded();
    for (const [scope, key] of [['global', 'SECRETSX'], ['global', 'my.SECRETS'], ['flow1', 'SECRETS'], ['node1:flow1', 'SECRETS.token']]) {
      store.set(scope, key, 'theirs');
      assert.equal(store.get(scope, key), 'theirs', `${scope} ${key}`);
    }
    assert.deepEqual(store.keys('flow1'), ['SECRETS']);
    assert.deepEqual(refused, []);
  });

  it('says what is wrong with a key, as the store behind does', async () => {
    const { store } = guarded();
    store.set('global', 'mine', 1);
    assert.throws(() => store.get('global', 'SECRETS.my key'), { code: 'INVALID_EXPR' });
    const [error] = await calledBack((done) => store.get('global', 'SECRETS..', done));
    assert.equal(error.code, 'INVALID_EXPR');
  });

  it('refuses every write of ours without a throw, and hands the error to a callback', async () => {
    const { store, behind, refused } = guarded();
    const keys = ['SECRETS', 'SECRETS.token', 'SECRETS["token"]', "'SECRETS'", 'SECRETS_METADATA.version', 'SECRETS[', 'SECRETS.my key'];
    for (const key of keys) {
      assert.equal(store.set('global', key, 'planted'), undefined, key);
      assert.equal(store.set('global', key, undefined), undefined, key);
      assert.deepEqual(await calledBack((done) => store.set('global', key, 'planted', done)), [refused.at(-1)], key);
    }
    assert.equal(refused.length, keys.length * 3);
    assert.deepEqual(behind.keys('global'), []);
    assert.equal(store.get('global', 'SECRETS.token'), 'value-of-token');
  });

  it('writes the other keys of an array, each with its own value', async () => {
    const { store, behind, refused } = guarded();
    const [error] = await calledBack((done) => store.set('global', ['a', 'SECRETS', 'b', 'c'], [1, 'planted', 2], done));
    assert.equal(error, refused[0]);
    assert.deepEqual(behind.get('global', ['a', 'b', 'c']), [1, 2, null]);
    assert.equal(behind.get('global', 'SECRETS'), undefined);
    store.set('global', ['SECRETS.x', 'd'], 'one value for the first key');
    assert.equal(behind.get('global', 'd'), null);
  });

  it('lists our names after those of the store, once, and only where it is told to', async () => {
    const { store } = guarded();
    store.set('global', 'mine', 1);
    assert.deepEqual(store.keys('global'), ['mine', 'SECRETS', 'SECRETS_METADATA']);
    assert.deepEqual(await calledBack((done) => store.keys('global', done)), [null, ['mine', 'SECRETS', 'SECRETS_METADATA']]);

    const stale = memory({});
    stale.set('global', 'SECRETS', 'left by another');
    assert.deepEqual(guarded({}, stale).store.keys('global'), ['SECRETS', 'SECRETS_METADATA']);
    const second = memory({});
    second.set('global', 'SECRETS', 'left by another');
    assert.deepEqual(guarded({ listed: () => false }, second).store.keys('global'), []);
  });

  it('serves on when everything in the store is deleted or cleaned', async () => {
    const { store } = guarded();
    store.set('global', 'mine', 1);
    await store.clean([]);
    await store.delete('global');
    assert.equal(store.get('global', 'mine'), undefined);
    assert.equal(store.get('global', 'SECRETS.token'), 'value-of-token');
  });

  it('opens before it is said to have opened, and hands on how that ended', async () => {
    const order = [];
    const custom = { ...memory({}), open: async () => order.push('store'), get() {}, set() {}, keys() {} };
    const { store } = guarded({ opened: async () => order.push('ours') }, custom);
    assert.equal(await store.open(), 1);
    assert.deepEqual(order, ['store', 'ours']);

    const failing = guarded({ opened: () => assert.fail('a store that did not open') }, { open: () => Promise.reject(new Error('no disk')) });
    await assert.rejects(failing.store.open(), /no disk/);
  });

  it('keeps who asks over a callback that a store calls from elsewhere', async () => {
    const mark = new AsyncLocalStorage();
    let later;
    const custom = { get() {}, set() {}, keys(_scope, callback) { later = callback; } };
    const { store } = guarded({
      remember: (callback) => {
        const asks = mark.getStore();
        return (...given) => mark.run(asks, callback, ...given);
      },
    }, custom);
    const asks = new Promise((resolve) => mark.run('a person', () => store.keys('global', () => resolve(mark.getStore()))));
    later(null, []);
    assert.equal(await asks, 'a person');
  });

  it('is the store itself, so that its own ways stay; or stands for one that is sealed', () => {
    const own = memory({});
    assert.equal(guarded({}, own).store, own);

    const sealed = Object.freeze({ get: () => 'theirs', set() {}, keys: () => [], open() {}, close: () => 'closed', delete() {}, clean() {} });
    const { store } = guarded({}, sealed);
    assert.equal(store.get('global', 'SECRETS.token'), 'value-of-token');
    assert.equal(store.get('global', 'mine'), 'theirs');
    assert.equal(store.close(), 'closed');
  });

  it('serves nothing once released, and leaves the store as it was', () => {
    const plain = memory({});
    const one = guarded({}, plain);
    one.guard.release();
    assert.equal(plain.get('global', 'SECRETS.token'), undefined);
    assert.deepEqual(Object.keys(plain), ['data']);
    plain.set('global', 'SECRETS', 1);
    assert.equal(plain.get('global', 'SECRETS'), 1);
  });
});
