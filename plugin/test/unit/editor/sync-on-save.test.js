'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { SyncOnSave } = require('../../../src/editor/sync-on-save');
const { linesOf } = require('../parts');
const { Asked, clock } = require('./parts');

/** @param {import('node:test').TestContext} t */
function saving(t) {
  const time = clock(t);
  const client = new Asked();
  const { lines, log } = linesOf();
  const saves = new SyncOnSave({ client, log, random: () => 1 });
  /** @type {boolean[]} */
  const pending = [];
  saves.on('change', () => pending.push(saves.pending));
  return { time, client, saves, lines, pending };
}

test('a save is asked for once, at once, and what the operator makes of it is its own', async (t) => {
  for (const state of ['done', 'pending', 'suspended', 'off']) {
    await t.test(state, async (t) => {
      const { client, saves, time, pending } = saving(t);
      saves.saved();
      assert.deepEqual(client.calls, [{ method: 'POST', path: '/v1/sync', body: { trigger: 'save', wait: 30 }, headers: undefined }]);
      await client.answer({ status: state === 'done' || state === 'off' ? 200 : 202, body: { state } });
      await time.pass(600_000);
      assert.deepEqual([client.calls.length, pending], [1, []]);
    });
  }
});

test('saves while one is under way become one more', async (t) => {
  const { client, saves } = saving(t);
  for (let i = 0; i < 4; i += 1) saves.saved();
  assert.equal(client.calls.length, 1);
  await client.answer({ status: 200 });
  assert.equal(client.calls.length, 2);
  await client.answer({ status: 200 });
  assert.equal(client.calls.length, 2);
});

test('while the operator is away one request is kept, tried again more and more slowly, and said once', async (t) => {
  const { client, saves, time, lines, pending } = saving(t);
  saves.saved();
  const waits = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
  for (const [at, ms] of waits.entries()) {
    await client.answer(at === 1 ? 'TimedOut' : at === 2 ? { status: 503, body: { reason: 'Unavailable' } } : 'Unreachable');
    await time.pass(ms - 1);
    assert.equal(client.calls.length, at + 1);
    await time.pass(1);
    assert.equal(client.calls.length, at + 2);
  }
  assert.deepEqual([lines, pending], [['warn saves.away Unreachable'], [true]]);
  await client.answer({ status: 200 });
  assert.deepEqual([lines.at(-1), pending], ['info saves.back', [true, false]]);
  await time.pass(600_000);
  assert.equal(client.calls.length, waits.length + 1);
});

test('where it was not told whom to call it keeps the request, says nothing, and asks when it is told', async (t) => {
  const { client, saves, time, lines, pending } = saving(t);
  saves.saved();
  await client.answer('NotTold');
  await time.pass(600_000);
  assert.deepEqual([client.calls.length, lines, pending], [1, [], []]);
  saves.nudge();
  await client.answer({ status: 200 });
  assert.equal(client.calls.length, 2);
});

test('a save, or word of the operator, tries at once; it stays one request', async (t) => {
  const { client, saves, time } = saving(t);
  saves.nudge();
  assert.equal(client.calls.length, 0, 'nothing is kept');
  saves.saved();
  await client.answer('NotTold');
  saves.nudge();
  await client.answer('Unreachable');
  saves.saved();
  assert.equal(client.calls.length, 3);
  await client.answer({ status: 200 });
  await time.pass(600_000);
  assert.equal(client.calls.length, 3);
});

test('asked too soon, it waits as long as it is told, and that is no absence', async (t) => {
  const { client, saves, time, lines, pending } = saving(t);
  saves.saved();
  await client.answer({ status: 429, retryAfterMs: 2_000 });
  saves.saved();
  saves.nudge();
  await time.pass(1_999);
  assert.equal(client.calls.length, 1);
  await time.pass(1);
  await client.answer({ status: 200 });
  assert.deepEqual([client.calls.length, lines, pending], [2, [], []]);
});

test('what stays refused is not asked again', async (t) => {
  for (const status of [400, 403, 404, 409, 415]) {
    await t.test(String(status), async (t) => {
      const { client, saves, time, lines } = saving(t);
      saves.saved();
      await client.answer({ status });
      await time.pass(600_000);
      assert.deepEqual([client.calls.length, lines], [1, []]);
    });
  }
});

test('one that was closed asks nothing more', async (t) => {
  const { client, saves, time } = saving(t);
  saves.saved();
  await client.answer('Unreachable');
  saves.close();
  saves.saved();
  await time.pass(600_000);
  assert.equal(client.calls.length, 1);
});
