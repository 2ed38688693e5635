'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { OperatorStatus } = require('../../../src/editor/operator-status');
const { Asked, clock } = require('./parts');

/** @param {import('node:test').TestContext} t */
function watching(t) {
  const time = clock(t);
  const client = new Asked();
  const operator = new OperatorStatus(client, { random: () => 1 });
  let changes = 0;
  operator.on('change', () => { changes += 1; });
  return { time, client, operator, changes: () => changes };
}

/** When it was asked, in ms from now on; each time it answers the same. @param {ReturnType<typeof watching>} of @param {any} answer @param {number} ms */
async function asking({ time, client }, answer, ms) {
  const at = [];
  for (let now = 0; now <= ms; now += 500) {
    while (client.open.length > 0) {
      at.push(now);
      await client.answer(answer);
    }
    await time.pass(500);
  }
  return at;
}

const STATUS = { status: 200, body: { version: 1 }, etag: '"a"' };

test('nobody looks: nothing is asked', async (t) => {
  const of = watching(t);
  of.operator.look();
  assert.deepEqual(await asking(of, STATUS, 60_000), []);
  of.operator.watch(true);
  of.operator.watch(false);
  assert.deepEqual(await asking(of, STATUS, 60_000), [0]);
});

test('at once, soon after, then every 5 s; and again so when something moved', async (t) => {
  const of = watching(t);
  of.operator.watch(true);
  assert.deepEqual(await asking(of, STATUS, 15_000), [0, 1_000, 2_000, 4_000, 9_000, 14_000]);
  of.operator.look();
  assert.deepEqual(await asking(of, STATUS, 5_000), [0, 1_000, 2_000, 4_000]);
});

test('what it knows already it is not sent again, and no news is no change', async (t) => {
  const { client, operator, time, changes } = watching(t);
  operator.watch(true);
  await client.answer(STATUS);
  const { at, ...first } = operator.standing;
  assert.deepEqual([first, changes()], [{ reachable: true, since: at, problem: null, status: { version: 1 } }, 1]);
  await time.pass(1_000);
  assert.deepEqual(client.calls.map(({ headers }) => headers), [undefined, { 'if-none-match': '"a"' }]);
  await client.answer({ status: 304, etag: '"a"' });
  assert.deepEqual([changes(), operator.standing.status], [1, { version: 1 }]);
  assert.equal(Number(operator.standing.at) - Number(at), 1_000);
});

test('while it is away it is asked less and less, and what was known stays', async (t) => {
  const of = watching(t);
  of.operator.watch(true);
  await of.client.answer(STATUS);
  await of.time.pass(1_000);
  const gone = new Date();
  assert.deepEqual(await asking(of, 'Unreachable', 130_000), [0, 5_000, 15_000, 35_000, 65_000, 95_000, 125_000]);
  const { reachable, since, problem, status } = of.operator.standing;
  assert.deepEqual({ reachable, since, problem, status }, { reachable: false, since: gone, problem: 'Unreachable', status: { version: 1 } });
  assert.equal(of.changes(), 2);

  of.operator.look();
  await of.client.answer(STATUS);
  assert.deepEqual([of.operator.standing.reachable, of.operator.standing.problem, of.changes()], [true, null, 3]);
});

test('an answer that is no status is a problem, in a word', async (t) => {
  const { client, operator } = watching(t);
  operator.watch(true);
  const table = /** @type {const} */ ([
    [{ status: 403, body: { reason: 'NoFlowApp' } }, 'NoFlowApp'],
    [{ status: 502 }, 'Status502'],
    [{ status: 200, body: 'of something else' }, 'Status200'],
    [{ status: 503, body: { reason: 'a text, with a ‹value›' } }, 'Status503'],
    ['NotTold', 'NotTold'],
  ]);
  for (const [answer, word] of table) {
    await client.answer(answer);
    assert.equal(operator.standing.problem, word);
    operator.look();
  }
});

test('asked too often is no problem, and Retry-After is kept', async (t) => {
  const of = watching(t);
  of.operator.watch(true);
  await of.client.answer({ status: 429, retryAfterMs: 7_000 });
  assert.deepEqual([of.operator.standing.reachable, of.changes()], [null, 0]);
  assert.deepEqual((await asking(of, STATUS, 10_000))[0], 7_000);
});

test('something that moves while it is asked is asked about afterwards, not at the same time', async (t) => {
  const { client, operator, time } = watching(t);
  operator.watch(true);
  operator.look();
  operator.look();
  assert.equal(client.calls.length, 1);
  await client.answer(STATUS);
  await time.pass(1_000);
  assert.equal(client.calls.length, 2);
});

test('whoever looks again while the last question is open does not make it two', async (t) => {
  const { client, operator, time } = watching(t);
  operator.watch(true);
  operator.watch(false);
  operator.watch(true);
  assert.equal(client.calls.length, 1);
  await client.answer(STATUS);
  await time.pass(999);
  assert.equal(client.calls.length, 1);
});
