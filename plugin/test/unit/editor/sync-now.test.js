'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { SyncNow } = require('../../../src/editor/sync-now');
const { Holder } = require('../../../src/holder');
const { linesOf, snapshotOf } = require('../parts');
const { Asked, clock, settled } = require('./parts');

const revision = (/** @type {number} */ version) => `${version}-0123456789abcdef`;
const done = (/** @type {number} */ version, more = {}) => ({
  status: 200, body: { state: 'done', result: 'Synced', version, revision: revision(version), checkedAt: '2026-01-02T00:00:03Z', ...more },
});

/** @param {import('node:test').TestContext} t */
function syncing(t) {
  const time = clock(t);
  const client = new Asked();
  const holder = new Holder();
  holder.load(snapshotOf({ version: 1 }));
  /** @type {string[]} */
  const steps = [];
  const sync = new SyncNow({
    holder, client, log: linesOf().log, now: () => Date.now(), progress: ({ step, seconds }) => steps.push(`${step} ${seconds}`),
  });
  const load = async (/** @type {number} */ version) => {
    holder.load(snapshotOf({ version }));
    await settled();
  };
  return { time, client, holder, sync, steps, load };
}

test('the operator has what flows read already: the newest', async (t) => {
  const { client, sync } = syncing(t);
  const end = sync.run();
  await client.answer(done(1));
  assert.deepEqual(await end, { outcome: 'newest', version: 1, checkedAt: '2026-01-02T00:00:03Z' });
});

test('something new is waited for until flows read it, also where it came before the answer', async (t) => {
  const { client, sync, load, time, steps } = syncing(t);
  const end = sync.run();
  await time.pass(1_000);
  await client.answer(done(2));
  await time.pass(1_000);
  await load(2);
  assert.deepEqual(await end, { outcome: 'loaded', version: 2 });
  assert.deepEqual(steps, ['asked 0', 'checking 0', 'checking 1', 'loading 1', 'loading 2', 'done 2']);

  const next = sync.run();
  await load(3);
  await client.answer(done(3));
  assert.deepEqual(await next, { outcome: 'loaded', version: 3 });
});

test('an older snapshot on its way is not taken for the end; a newer one in its place is', async (t) => {
  const { client, sync, load, time } = syncing(t);
  let ended = false;
  const end = sync.run().finally(() => { ended = true; });
  await client.answer(done(3));
  await load(2);
  assert.equal(ended, false);
  await load(4);
  assert.equal(ended, false);
  await time.pass(3_000);
  assert.equal(client.calls.at(-1)?.path, '/v1/status');
  await client.answer({ status: 200, body: { revision: revision(4) } });
  assert.deepEqual(await end, { outcome: 'loaded', version: 4 });
});

test('one at a time: who asks meanwhile gets the same end, and afterwards a new one', async (t) => {
  const { client, sync } = syncing(t);
  const ends = [sync.run(), sync.run()];
  assert.equal(client.calls.length, 1);
  await client.answer(done(1));
  const [a, b] = await Promise.all(ends);
  assert.equal(a, b);
  sync.run();
  assert.equal(client.calls.length, 2);
});

test('what takes long is asked about again, which joins it, and ends with a word before a minute is over', async (t) => {
  const { client, sync, time } = syncing(t);
  const end = sync.run();
  for (let s = 0; s < 54; s += 18) {
    await time.pass(17_000);
    await client.answer({ status: 202, body: { state: 'pending' } });
    await time.pass(1_000);
  }
  assert.deepEqual(client.calls.map(({ body }) => body.wait), [20, 20, 19, 1]);
  await time.pass(1_000);
  await client.answer({ status: 202, body: { state: 'pending' } });
  await time.pass(1_000);
  assert.deepEqual(await end, { outcome: 'error', status: 504, reason: 'Pending', message: 'refused.Pending' });
});

test('what does not arrive ends with a word', async (t) => {
  const { client, sync, time } = syncing(t);
  const end = sync.run();
  await client.answer(done(2));
  for (let s = 0; s < 55; s += 1) {
    await time.pass(1_000);
    while (client.open.length > 0) await client.answer('Unreachable');
  }
  assert.deepEqual(await end, { outcome: 'error', status: 504, reason: 'NotLoaded', message: `refused.NotLoaded ${revision(2)}` });
});

test('what arrives damaged ends at once', async (t) => {
  const { client, sync, holder } = syncing(t);
  const end = sync.run();
  await client.answer(done(2));
  holder.keep('SnapshotIncomplete', revision(2));
  assert.deepEqual(await end, { outcome: 'error', status: 502, reason: 'SnapshotIncomplete', message: 'refused.SnapshotIncomplete' });
});

test('a connection that breaks once is made again; twice is an end', async (t) => {
  const { client, sync, time } = syncing(t);
  const first = sync.run();
  await client.answer('Unreachable');
  await time.pass(1_000);
  await client.answer(done(1));
  assert.equal((await first).outcome, 'newest');

  const second = sync.run();
  await client.answer('Unreachable');
  await time.pass(1_000);
  await client.answer('Unreachable');
  assert.deepEqual(await second, { outcome: 'error', status: 502, reason: 'Unreachable', message: 'refused.Unreachable Unreachable' });

  const third = sync.run();
  await client.answer('NotTold');
  assert.deepEqual(await third, { outcome: 'error', status: 502, reason: 'NotTold', message: 'refused.NotTold NotTold' });
});

test('asked too soon, it waits as long as it is told', async (t) => {
  const { client, sync, time } = syncing(t);
  const end = sync.run();
  await client.answer({ status: 429, retryAfterMs: 2_000, body: { reason: 'TooManyRequests', detail: 'later' } });
  await time.pass(2_000);
  await client.answer(done(1));
  assert.equal((await end).outcome, 'newest');
});

test('closed while it waits, it ends', async (t) => {
  const { client, sync } = syncing(t);
  const end = sync.run();
  await client.answer(done(2));
  sync.close();
  assert.equal((await end).outcome, 'error');
});
