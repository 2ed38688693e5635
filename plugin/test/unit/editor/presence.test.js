'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const test = require('node:test');

const { Presence } = require('../../../src/editor/presence');
const { clock } = require('./parts');

function present() {
  const events = new EventEmitter();
  const presence = new Presence(events);
  /** @type {(boolean | string)[]} */
  const told = [];
  presence.on('change', (now) => told.push(now));
  presence.on('came', () => told.push('came'));
  const added = (/** @type {string} */ session) => events.emit('comms:connection-added', { session, user: undefined });
  const removed = (/** @type {string} */ session) => events.emit('comms:connection-removed', { session });
  return { events, presence, told, added, removed };
}

test('somebody is there from the first editor that opens to the last that closes', () => {
  const { told, added, removed } = present();
  added('a');
  added('b');
  removed('a');
  removed('a');
  removed('never seen');
  assert.deepEqual(told, [true, 'came', 'came']);
  removed('b');
  assert.deepEqual(told, [true, 'came', 'came', false]);
});

test('who asks without a web socket is there for a minute', async (t) => {
  const { presence, told } = present();
  const time = clock(t);
  presence.visit();
  await time.pass(50_000);
  presence.visit();
  await time.pass(59_999);
  assert.deepEqual(told, [true]);
  await time.pass(1);
  assert.deepEqual(told, [true, false]);
});

test('who asked and then closes the last editor is gone at once', () => {
  const { presence, told, added, removed } = present();
  presence.visit();
  removed('never seen');
  added('a');
  added('b');
  presence.visit();
  removed('a');
  assert.deepEqual(told, [true, 'came', 'came']);
  removed('b');
  assert.deepEqual([told.at(-1), presence.present], [false, false]);
});

test('one that was closed hears nothing more', () => {
  const { events, presence, told, added } = present();
  presence.close();
  added('a');
  assert.deepEqual([told, presence.present, events.eventNames()], [[], false, []]);
});
