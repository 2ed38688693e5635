'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Announcer } = require('../../../src/editor/announcer');
const { KeyList } = require('../../../src/editor/key-list');
const { stateOf } = require('../../../src/editor/state');
const { Holder } = require('../../../src/holder');
const { snapshotOf } = require('../parts');
const { settled } = require('./parts');

/** @type {import('../../../src/editor/state').About} */
const ABOUT = {
  plugin: '0.1.0', served: true, flowAppVersion: '5.3.0', protection: 'context-store', protectionReason: null,
  legacy: { type: 'qibb-secret-manager', count: null, ours: true, needed: false },
};
const OPERATOR = { reachable: true, since: new Date(1), problem: null, at: new Date(2), status: /** @type {any} */ (null) };
const of = (/** @type {Holder} */ holder, operator = OPERATOR) => stateOf({ about: ABOUT, holder, operator, saves: { pending: false } });

test('before the first snapshot nothing is known of it', () => {
  const { snapshot } = of(new Holder());
  assert.deepEqual(snapshot, {
    state: 'loading', problem: null, loadedAt: null, staleSince: null, version: null, revision: null, count: 0,
    createdAt: null, updatedAt: null, issuedAt: null, space: null,
  });
});

test('flows that read an old one: which, since when, and why', () => {
  const holder = new Holder();
  holder.load(snapshotOf({ version: 7, text: { a: '1', b: '2' } }), new Date(1_000));
  holder.keep('SnapshotIncomplete', '8-0', new Date(2_000));
  const { state, version, count, loadedAt, staleSince, problem } = of(holder).snapshot;
  assert.deepEqual({ state, version, count, loadedAt, staleSince, problem }, {
    state: 'stale', version: 7, count: 2, loadedAt: new Date(1_000), staleSince: new Date(2_000), problem: 'SnapshotIncomplete',
  });
});

test('the one condition that names keys says its word only', () => {
  const conditions = [
    { type: 'Synced', status: 'True', reason: 'Synced', message: 'version 1 is in Secret secrets', since: 'then' },
    { type: 'KeysComplete', status: 'False', reason: 'KeysRefused', message: '1 keys are not delivered: MY_KEY', since: 'then' },
  ];
  const state = of(new Holder(), { ...OPERATOR, status: { version: 1, conditions } });
  assert.ok(!JSON.stringify(state).includes('MY_KEY'));
  assert.deepEqual(state.operator.status, { version: 1, conditions: [conditions[0], { ...conditions[1], message: '' }] });
  assert.equal(conditions[1].message.length > 0, true, 'what the operator said is not changed');
});

test('the keys of the start are no change, and a renewed snapshot keeps the last one', () => {
  const holder = new Holder();
  const list = new KeyList(holder);
  assert.deepEqual(list.body(), { version: null, revision: null, keys: [], last: { added: [], changed: [], removed: [], at: null } });
  holder.load(snapshotOf({ version: 1, text: { a: '1', b: '2' } }));
  assert.deepEqual(list.body().last, { added: [], changed: [], removed: [], at: null });
  holder.load(snapshotOf({ version: 2, text: { a: '1!', c: '3' } }));
  const { at, ...last } = list.body().last;
  assert.deepEqual(last, { added: ['c'], changed: ['a'], removed: ['b'] });
  holder.load(snapshotOf({ version: 2, text: { a: '1!', c: '3' }, issuedAt: '2027-01-01T00:00:00Z' }));
  assert.deepEqual(list.body(), { version: 2, revision: '2-0123456789abcdef', keys: [{ name: 'a', format: 'text' }, { name: 'c', format: 'text' }], last: { ...last, at } });
  list.close();
  assert.equal(holder.listenerCount('swap'), 0);
});

test('the state is announced when it is another, once for all that moved together; a newer answer alone is no news', async () => {
  const holder = new Holder();
  let operator = OPERATOR;
  /** @type {any[]} */
  const said = [];
  const announcer = new Announcer(() => of(holder, operator), (topic, content) => said.push([topic, content]));
  const look = async () => {
    announcer.look();
    announcer.look();
    await settled();
    return said.splice(0).length;
  };
  assert.equal(await look(), 1);
  assert.equal(await look(), 0);
  operator = { ...operator, at: new Date(3) };
  assert.equal(await look(), 0);
  holder.load(snapshotOf());
  announcer.look();
  await settled();
  assert.deepEqual(said.splice(0), [['state', of(holder, operator)]]);
  announcer.repeat();
  await settled();
  assert.equal(said.splice(0).length, 1, 'for who is new');
  holder.keep('SnapshotMissing');
  announcer.look();
  announcer.close();
  await settled();
  assert.deepEqual(said, []);
});
