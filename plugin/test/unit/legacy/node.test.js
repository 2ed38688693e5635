'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const test = require('node:test');

const load = require('../../../src/legacy-node');

/** Node-RED, as far as a node set asks it, with no registry that is known. @param {string[]} taken types that somebody has */
function runtime(taken) {
  /** @type {Map<string, any>} */
  const registered = new Map();
  /** @type {any} */
  let vacancy = null;
  const RED = {
    settings: {}, events: new EventEmitter(),
    plugins: { get: () => ({ legacy: { type: 'qibb-secret-manager', needed: true, hold: (/** @type {any} */ of) => { vacancy = of; } } }) },
    nodes: {
      registerType(/** @type {string} */ type, /** @type {any} */ _, /** @type {any} */ options) {
        if (taken.includes(type)) throw new Error(`${type} already registered`);
        registered.set(type, options);
      },
    },
  };
  return { RED, registered, vacancy: () => vacancy };
}

test('in a Node-RED of another making it takes the type after all others had their turn', async () => {
  /** @type {string[]} */
  const taken = [];
  const { RED, registered, vacancy } = runtime(taken);
  const loading = load(RED);
  taken.push('qibb-secret-manager');
  await loading;
  assert.deepEqual([[...registered.keys()], vacancy().ours], [['secret-manager-legacy'], false]);

  const alone = runtime([]);
  await load(alone.RED);
  assert.deepEqual([[...alone.registered.keys()], alone.vacancy().ours], [['secret-manager-legacy', 'qibb-secret-manager'], true]);
});

test('the editor is told the type, and whether it is needed, as it is at that time', async () => {
  const { RED, registered } = runtime([]);
  await load(RED);
  const { secretManagerLegacyType, secretManagerLegacyNeeded } = registered.get('secret-manager-legacy').settings;
  assert.deepEqual([secretManagerLegacyType, secretManagerLegacyNeeded.exportable, secretManagerLegacyNeeded.value],
    [{ value: 'qibb-secret-manager', exportable: true }, true, true]);
});

test('without the plugin it is there, and inert', async () => {
  const { RED, registered } = runtime([]);
  RED.plugins.get = () => /** @type {any} */ (undefined);
  await load({ ...RED, settings: { secretManager: { legacyNodeType: 'another-type' } } });
  assert.equal(registered.get('secret-manager-legacy').settings.secretManagerLegacyType.value, 'another-type');
  assert.ok(registered.has('another-type'));
});
