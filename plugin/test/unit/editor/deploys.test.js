'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const test = require('node:test');

const { onDeploy } = require('../../../src/editor/deploys');
const { settled } = require('./parts');

/** @param {boolean} loaded whether Node-RED has flows already */
function listening(loaded) {
  const events = new EventEmitter();
  let saves = 0;
  const eachNode = () => { if (!loaded) throw new TypeError('Cannot read properties of null'); };
  const deploys = onDeploy({ events, nodes: { eachNode } }, () => { saves += 1; });
  const event = (/** @type {string} */ id, payload = {}) => events.emit('runtime-event', { id, payload, retain: true });
  return { event, deploys, saves: () => saves };
}

test('the deploy that Node-RED reports at its start is no save, all others are', () => {
  const { event, saves } = listening(false);
  event('runtime-state');
  event('runtime-deploy');
  assert.equal(saves(), 0);
  event('runtime-deploy');
  event('runtime-deploy');
  event('node/added');
  assert.equal(saves(), 2);
});

test('where flows run already, the first is a save', () => {
  const { event, saves } = listening(true);
  event('runtime-deploy');
  assert.equal(saves(), 1);
});

test('where no flows could be loaded, the first that is deployed is a save', async () => {
  const { event, saves } = listening(false);
  event('runtime-state', { type: 'warning', error: 'missing_flow_file' });
  await settled();
  event('runtime-deploy');
  assert.equal(saves(), 1);
});

test('broken credentials do not hide the start', async () => {
  const { event, saves } = listening(false);
  event('runtime-state', { type: 'warning', error: 'credentials_load_failed' });
  await Promise.resolve();
  event('runtime-deploy');
  assert.equal(saves(), 0);
});

test('one that was closed tells nothing more', () => {
  const { event, deploys, saves } = listening(true);
  deploys.close();
  event('runtime-deploy');
  assert.equal(saves(), 0);
});
