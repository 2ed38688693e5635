'use strict';

const assert = require('node:assert/strict');
const { beforeEach, describe, test } = require('node:test');

const { load } = require('./catalog');

describe('what is told of a sync', () => {
  /** @type {any} */
  let store;
  /** @type {(told: {step: string, seconds: number}) => void} */
  let tell;

  beforeEach(async () => {
    const { Live } = await load('live.js');
    const { Store } = await load('store.js');
    store = new Store();
    /** @type {Record<string, (topic: string, told: any) => void>} */
    const heard = {};
    const RED = { comms: { on() {}, subscribe(/** @type {string} */ topic, /** @type {any} */ listener) { heard[topic] = listener; } } };
    const nothing = async () => ({ status: 200, body: null, tag: null });
    await new Live(RED, { state: nothing, keys: nothing }, store).start();
    tell = (told) => heard['secret-manager/sync']('secret-manager/sync', told);
  });

  test('the end of somebody else\'s is the end of it', () => {
    tell({ step: 'checking', seconds: 1 });
    assert.deepEqual(store.facts.progress, { step: 'checking', seconds: 1, mine: false });
    tell({ step: 'done', seconds: 2 });
    assert.equal(store.facts.progress, null);
  });

  test('an end that comes after the answer leaves the answer alone', () => {
    store.set({ progress: null, answer: { kind: 'sync', outcome: { outcome: 'newest' }, at: '' } });
    tell({ step: 'done', seconds: 2 });
    assert.equal(store.facts.progress, null);
  });

  test('an end that comes before the answer lets it be waited for', () => {
    store.set({ progress: { step: 'asked', seconds: 0, mine: true } });
    tell({ step: 'loading', seconds: 1 });
    tell({ step: 'done', seconds: 2 });
    assert.deepEqual(store.facts.progress, { step: 'loading', seconds: 1, mine: true });
  });
});

test('a list that does not fit the state is fetched again, and a broken answer ends nothing', async () => {
  const { Live } = await load('live.js');
  const { Store } = await load('store.js');
  const store = new Store();
  /** @type {(topic: string, told: any) => void} */
  let tell = () => {};
  const RED = { comms: { on() {}, subscribe(/** @type {string} */ topic, /** @type {any} */ listener) { if (topic.endsWith('state')) tell = listener; } } };
  const answers = [{ revision: '1-a' }, null, { revision: '2-b' }].map((one) => ({ status: 200, tag: null, body: one && { ...one, keys: [] } }));
  const api = { state: async () => ({ status: 200, body: { snapshot: { revision: '1-a' } } }), keys: async () => answers.shift() };
  await new Live(RED, api, store).start();
  assert.equal(store.facts.keys.revision, '1-a');
  for (let left = 1; left >= 0; left -= 1) {
    tell('', { snapshot: { revision: '2-b' } });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(answers.length, left);
  }
  assert.equal(store.facts.keys.revision, '2-b');
});
