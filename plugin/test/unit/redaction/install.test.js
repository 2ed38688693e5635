'use strict';

// The hooks, in a runtime of which only @node-red/util is real.

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { afterEach, test } = require('node:test');
const { events, log, util } = require('@node-red/util');
const { install } = require('../../../src/redaction');
const { snapshotOf } = require('./snapshots');

const TOKEN = 'tok-4f9a1c77e2';
const LABEL = '‹SECRETS.token›';
const original = { encodeObject: util.encodeObject, log: log.log, write: process.stdout.write };

const holderOf = (values) => Object.assign(new EventEmitter(), { current: snapshotOf(values) });
// As Node-RED does it: `util` and `events` are the runtime's, `log` is a copy for each package.
const red = () => ({ util, events, log: { ...log } });

let installed;
const guard = (values = { token: TOKEN }) => {
  installed = install(red(), holderOf(values));
  return installed;
};
afterEach(() => installed?.close());

/** What a stream is written while something runs. */
async function written(stream, run) {
  const chunks = [];
  const { write } = stream;
  const own = Object.hasOwn(stream, 'write');
  stream.write = (chunk) => chunks.push(Buffer.from(chunk).toString()) > 0;
  try {
    await run();
  } finally {
    if (own) stream.write = write;
    else delete stream.write;
  }
  return chunks.join('');
}

test('log handlers get a redacted copy; the entry stays as it was and has its timestamp', () => {
  guard();
  const handler = new EventEmitter();
  const got = [];
  handler.on('log', (entry) => got.push(entry));
  log.addHandler(handler);
  const message = { deep: [TOKEN] };
  const entry = { level: log.WARN, type: 'function', msg: message };
  log.log(entry);
  log.warn(TOKEN);
  log.audit({ event: 'x' }, { user: { username: 'u' }, path: `/x/${TOKEN}`, ip: '::1' });
  log.removeHandler(handler);
  assert.deepEqual(got[0].msg, { deep: [LABEL] });
  assert.equal(entry.msg, message);
  assert.deepEqual(message, { deep: [TOKEN] });
  assert.equal(typeof entry.timestamp, 'number');
  assert.equal(got[1].msg, LABEL);
  assert.equal(got[2].path, `/x/${LABEL}`);
});

test('both output streams, text and bytes; what holds nothing goes through untouched, callbacks are called', async () => {
  let chunks;
  const out = await written(process.stdout, async () => {
    guard();
    process.stdout.write(`text ${TOKEN}\n`);
    process.stdout.write(Buffer.from(`bytes ${TOKEN}\n`));
    console.log('console', { TOKEN });
    chunks = 'done';
    installed.close();
  });
  assert.equal(out, `text ${LABEL}\nbytes ${LABEL}\nconsole { TOKEN: '${LABEL}' }\n`);
  assert.equal(chunks, 'done');
  const err = await written(process.stderr, () => {
    guard();
    console.error(new Error(TOKEN).message);
    installed.close();
  });
  assert.equal(err, `${LABEL}\n`);
  guard();
  await new Promise((resolve) => process.stdout.write('', resolve));
});

test('the status object of a flow is replaced for the editors, not changed', () => {
  guard();
  const status = { fill: 'red', text: `sent ${TOKEN}` };
  let shown;
  const listener = (event) => { shown = event.status; };
  events.on('node-status', listener);
  events.emit('node-status', { id: 'n', status });
  events.removeListener('node-status', listener);
  assert.deepEqual(shown, { fill: 'red', text: `sent ${LABEL}` });
  assert.deepEqual(status, { fill: 'red', text: `sent ${TOKEN}` });
});

test('events without anything to show pass: a removed node, an empty message', () => {
  guard();
  const got = [];
  const listener = (event) => got.push(event);
  for (const name of ['node-status', 'comms', 'runtime-event']) events.on(name, listener);
  events.emit('node-status', { id: 'n' });
  events.emit('comms', { topic: 'debug' });
  events.emit('comms', { topic: 'debug', data: null });
  events.emit('runtime-event', { id: 'r', retain: true });
  for (const name of ['node-status', 'comms', 'runtime-event']) events.removeListener(name, listener);
  assert.equal(got.length, 4);
  assert.deepEqual(got[0], { id: 'n' });
  assert.deepEqual(got[3], { id: 'r', retain: true });
});

test('debug messages that a package publishes without encodeObject are redacted too', () => {
  guard();
  let shown;
  const listener = (event) => { shown = event.data; };
  events.on('comms', listener);
  events.emit('comms', { topic: 'debug', data: { id: 'n', topic: TOKEN, msg: { a: TOKEN } } });
  events.removeListener('comms', listener);
  assert.deepEqual(shown, { id: 'n', topic: LABEL, format: undefined, msg: { a: LABEL } });
});

test('things that cannot be looked at are shown as Node-RED shows them, without their value', () => {
  guard();
  const nasty = { get toJSON() { throw new Error(`no: ${TOKEN}`); } };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  for (const msg of [nasty, revoked.proxy, { a: nasty }, { a: revoked.proxy }, new Proxy({ a: TOKEN }, {})]) {
    const encoded = util.encodeObject({ id: 'n', msg }, { maxLength: 100 });
    assert.equal(JSON.stringify(encoded).includes(TOKEN), false);
  }
});

test('the editor can read what is left of a message as JSON', () => {
  guard({ token: 'nabcdefgh' });
  const encoded = util.encodeObject({ id: 'n', msg: { toJSON: undefined, a: '\nabcdefgh', b: { toJSON: () => 'nabcdefgh' } } }, { maxLength: 100 });
  assert.deepEqual(JSON.parse(encoded.msg), { toJSON: { __enc__: true, type: 'undefined' }, a: '\nabcdefgh', b: '‹SECRETS.token›' });
});

test('close leaves no trace, also when it was installed twice', () => {
  guard();
  const first = installed;
  guard();
  installed.close();
  first.close();
  assert.equal(util.encodeObject, original.encodeObject);
  assert.equal(log.log, original.log);
  assert.equal(process.stdout.write, original.write);
  assert.equal(Object.hasOwn(process.stdout, 'write'), false);
  for (const name of ['comms', 'node-status', 'runtime-event', 'event-log']) assert.equal(events.listenerCount(name), 0);
});
