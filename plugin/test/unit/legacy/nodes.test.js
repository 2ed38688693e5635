'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { countLegacyNodes, holdsEnabled } = require('../../../src/legacy/nodes');

const node = (more = {}) => ({ id: 'one', type: 'old', z: 'tab', ...more });
const TAB = { id: 'tab', type: 'tab' };

test('each is counted once, whatever becomes of it', () => {
  const flows = [TAB, node(), node({ d: true }), node({ z: 'sub' }), { type: 'other' }];
  assert.equal(countLegacyNodes({ nodes: { eachNode: (each) => flows.forEach(each) } }, 'old'), 3);
});

test('flows will start one that is enabled, on a flow that is', () => {
  const off = { id: 'off', type: 'tab', disabled: true };
  for (const [flows, holds] of /** @type {[object[], boolean][]} */ ([
    [[], false], [[TAB], false], [[TAB, node()], true], [[TAB, node({ type: 'other' })], false], [[TAB, node({ d: true })], false],
    [[TAB, off, node({ z: 'off' })], false], [[TAB, off, node({ z: 'off' }), node()], true],
    [[{ id: 'sub', type: 'subflow' }, node({ z: 'sub' })], true], [[node({ z: undefined })], true],
  ])) assert.equal(holdsEnabled(flows, 'old'), holds, JSON.stringify(flows));
});
