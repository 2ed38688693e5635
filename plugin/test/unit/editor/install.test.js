'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const test = require('node:test');

const editor = require('../../../src/editor');
const { Holder } = require('../../../src/holder');
const { linesOf, snapshotOf } = require('../parts');
const { Asked } = require('./parts');

/** @type {import('../../../src/editor/state').About} */
const ABOUT = {
  plugin: '0.1.0', served: true, flowAppVersion: '5.3.0', protection: 'context-store', protectionReason: null,
  legacy: { type: 'qibb-secret-manager', count: 0, ours: true, needed: false },
};

/** @param {(topic: string) => void} publish */
function installed(publish) {
  const events = new EventEmitter();
  const holder = new Holder();
  const RED = {
    events, comms: { publish }, log: { audit() {} }, nodes: { eachNode() {} },
    httpAdmin: { get() {}, post() {}, patch() {} }, auth: { needsPermission: () => () => {} },
  };
  const client = new Asked();
  return { events, holder, client, installation: editor.install(RED, { holder, client, log: linesOf().log, about: () => ABOUT }) };
}

test('an editor that cannot be told does not stop a swap', (t) => {
  const { holder, installation } = installed(() => { throw new Error('somebody else listens, and fails'); });
  t.after(() => installation.close());
  let others = 0;
  holder.on('swap', () => { others += 1; });
  holder.load(snapshotOf({ version: 1 }));
  assert.deepEqual([holder.current?.version, others], [1, 1]);
});

test('closed, it leaves nothing behind', () => {
  const { events, holder, client, installation } = installed(() => {});
  installation.close();
  assert.deepEqual([events.eventNames(), holder.eventNames(), client.calls], [[], [], []]);
});

test('the newest serves: a second copy takes the first one\'s place, so that a deploy is one save', (t) => {
  const first = installed(() => {});
  const second = installed(() => {});
  t.after(() => second.installation.close());
  first.events.emit('runtime-event', { id: 'runtime-deploy' });
  second.events.emit('runtime-event', { id: 'runtime-deploy' });
  assert.deepEqual([first.client.calls.length, second.client.calls.length], [0, 1]);
});
