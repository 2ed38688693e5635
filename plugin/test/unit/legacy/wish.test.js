'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Wish } = require('../../../src/legacy/wish');
const { linesOf } = require('../parts');
const { Asked, clock, settled } = require('../editor/parts');

/** @param {import('node:test').TestContext} t */
function wishing(t) {
  const time = clock(t);
  const client = new Asked();
  const { lines, log } = linesOf();
  const wish = new Wish({ client, log, random: () => 1 });
  /** @type {(string | null)[]} */
  const refused = [];
  wish.on('change', () => refused.push(wish.refused));
  const asked = () => client.calls.map(({ method, path, body }) => [method, path, ...(body === undefined ? [] : [JSON.stringify(body)])].join(' '));
  return { time, client, lines, wish, refused, asked };
}
const STATUS = 'GET /v1/status';
const status = (/** @type {string} */ autoSync, syncOnSave = true) => ({ status: 200, body: { autoSync: { value: autoSync }, syncOnSave: { value: syncOnSave } } });
const patch = (/** @type {object} */ body) => `PATCH /v1/settings ${JSON.stringify(body)}`;

test('where the operator has it so already, nothing is told', async (t) => {
  const { client, wish, asked, time, lines } = wishing(t);
  wish.be({ autoSync: '30m', syncOnSave: true });
  await client.answer(status('30m'));
  wish.be({ autoSync: '30m', syncOnSave: true });
  await time.pass(600_000);
  assert.deepEqual([asked(), lines], [[STATUS], []]);
});

test('what differs is told, each on its own, and once', async (t) => {
  const { client, wish, asked, time, lines } = wishing(t);
  wish.be({ autoSync: '30m', syncOnSave: false });
  await client.answer(status('Live'));
  await client.answer({ status: 200 });
  await client.answer({ status: 200 });
  wish.be({ autoSync: '30m', syncOnSave: false });
  await time.pass(600_000);
  assert.deepEqual(asked(), [STATUS, patch({ autoSync: '30m' }), patch({ syncOnSave: false })]);
  assert.deepEqual(lines, ['info legacy.told autoSync 30m', 'info legacy.told syncOnSave false']);

  wish.be({ autoSync: '60m', syncOnSave: false });
  await client.answer(status('30m', false));
  assert.deepEqual(asked().slice(3), [STATUS, patch({ autoSync: '60m' })]);
});

test('an owner is named and left alone, until something else is wanted; the other setting is told nevertheless', async (t) => {
  const { client, wish, asked, refused, time, lines } = wishing(t);
  wish.be({ autoSync: '30m', syncOnSave: false });
  await client.answer(status('Live'));
  await client.answer({ status: 409, body: { reason: 'FieldOwned', owner: 'argocd' } });
  await client.answer({ status: 200 });
  wish.nudge();
  await time.pass(600_000);
  assert.deepEqual(asked(), [STATUS, patch({ autoSync: '30m' }), patch({ syncOnSave: false })]);
  assert.deepEqual([refused, lines[0]], [['argocd'], 'warn legacy.owned autoSync argocd']);
  wish.be({ syncOnSave: false });
  assert.deepEqual([refused, client.calls.length], [['argocd', null], 3]);
  wish.be({ autoSync: '30m', syncOnSave: false });
  assert.equal(client.calls.length, 4, 'wanted anew');
});

test('while the operator is away it is tried again, more and more slowly, and at once when it may be back', async (t) => {
  const { client, wish, time, asked } = wishing(t);
  wish.be({ autoSync: '30m' });
  for (const [at, ms] of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
    await client.answer(at % 2 === 0 ? 'Unreachable' : { status: 503, body: { reason: 'Unavailable' } });
    await time.pass(ms - 1);
    assert.equal(client.calls.length, at + 1);
    await time.pass(1);
    assert.equal(client.calls.length, at + 2);
  }
  await client.answer('TimedOut');
  wish.nudge();
  await client.answer(status('Live'));
  assert.equal(asked().at(-1), patch({ autoSync: '30m' }));
});

test('it is left alone for as long as the operator asks for', async (t) => {
  const { client, wish, time, asked } = wishing(t);
  wish.be({ autoSync: '30m' });
  await client.answer(status('Live'));
  await client.answer({ status: 429, retryAfterMs: 20_000 });
  wish.nudge();
  wish.be({ autoSync: '60m' });
  await time.pass(19_999);
  assert.equal(client.calls.length, 2);
  await time.pass(1);
  assert.deepEqual(asked().slice(2), [STATUS]);
});

test('before the pod was told whom to call it waits for the mount', async (t) => {
  const { client, wish, time } = wishing(t);
  wish.be({ autoSync: '30m' });
  await client.answer('NotTold');
  await time.pass(600_000);
  assert.equal(client.calls.length, 1);
  wish.nudge();
  assert.equal(client.calls.length, 2);
});

test('a refusal for good is said and not repeated', async (t) => {
  const { client, wish, time, lines } = wishing(t);
  wish.be({ autoSync: '30m' });
  await client.answer(status('Live'));
  await client.answer({ status: 403, body: { reason: 'NoFlowApp' } });
  await time.pass(600_000);
  wish.nudge();
  assert.deepEqual([client.calls.length, lines], [2, ['warn legacy.not-told autoSync 403 NoFlowApp']]);
});

test('what is wanted meanwhile is told next, and what is no longer wanted is not', async (t) => {
  const { client, wish, asked } = wishing(t);
  wish.be({ autoSync: '30m' });
  wish.be({ autoSync: '60m' });
  await client.answer(status('Live'));
  assert.equal(asked().at(-1), patch({ autoSync: '60m' }));
  wish.be({ autoSync: '12h' });
  await client.answer({ status: 200 });
  await client.answer(status('60m'));
  assert.equal(asked().at(-1), patch({ autoSync: '12h' }));
  wish.be({});
  await client.answer({ status: 200 });
  await settled();
  assert.equal(client.calls.length, 4);
});

test('closed, it asks no more', async (t) => {
  const { client, wish, time } = wishing(t);
  wish.be({ autoSync: '30m' });
  await client.answer('Unreachable');
  wish.close();
  await time.pass(600_000);
  assert.equal(client.calls.length, 1);
});
