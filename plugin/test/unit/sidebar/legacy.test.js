'use strict';

// What the advice to delete legacy nodes is made of: whether it comes, what is found and deleted, which settings differ.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');

const { load } = require('./catalog');

const NOW = Date.parse('2026-05-01T12:00:00Z');
const DAY_MS = 24 * 60 * 60 * 1000;
const TYPE = 'qibb-secret-manager';

describe('whether somebody is advised', () => {
  const facts = { legacy: { needed: false }, found: 2, mayEdit: true, later: null, now: NOW };
  /** @type {[string, object, boolean][]} */
  const TABLE = [
    ['nodes that nobody needs', {}, true],
    ['nothing is known yet', { legacy: null }, false],
    ['below 5.3.0 they serve', { legacy: { needed: true } }, false],
    ['there are none', { found: 0 }, false],
    ['one who may only look', { mayEdit: false }, false],
    ['put off', { later: { count: 2, until: NOW + 1 } }, false],
    ['put off, and the time is over', { later: { count: 2, until: NOW } }, true],
    ['put off, and there are more since', { later: { count: 1, until: NOW + DAY_MS } }, true],
    ['put off, and there are fewer since', { later: { count: 3, until: NOW + DAY_MS } }, true],
    ['put off by a clock that was years ahead', { later: { count: 2, until: NOW + 400 * DAY_MS } }, true],
  ];
  for (const [what, more, expected] of TABLE) {
    test(what, async () => {
      const { advise } = await load('legacy/decision.js');
      assert.equal(advise({ ...facts, ...more }), expected);
    });
  }

  test('Later is seven days, to the millisecond', async () => {
    const { advise, laterFrom } = await load('legacy/decision.js');
    const later = laterFrom(2, NOW);
    assert.equal(advise({ ...facts, later }), false);
    assert.equal(advise({ ...facts, later, now: NOW + 7 * DAY_MS - 1 }), false);
    assert.equal(advise({ ...facts, later, now: NOW + 7 * DAY_MS }), true);
  });

  for (const kept of [undefined, null, 'soon', 7, [], {}, { count: 2 }, { count: '2', until: NOW }, { count: 2, until: 'soon' }, { count: 2, until: null }]) {
    test(`what was kept as ${JSON.stringify(kept)} puts nothing off`, async () => {
      const { readLater } = await load('legacy/decision.js');
      assert.equal(readLater(kept), null);
    });
  }
});

describe('where Later is remembered', () => {
  const editor = (/** @type {boolean} */ may, username = 'somebody') => {
    /** @type {Map<string, any>} */
    const settings = new Map();
    /** @type {Map<string, string>} */
    const local = new Map();
    const RED = {
      user: { hasPermission: (/** @type {string} */ permission) => permission !== 'settings.write' || may },
      settings: {
        user: { username }, get: (/** @type {string} */ name) => settings.get(name), set: (/** @type {string} */ name, /** @type {any} */ value) => settings.set(name, value),
        getLocal: (/** @type {string} */ name) => local.get(name) ?? null, setLocal: (/** @type {string} */ name, /** @type {string} */ value) => local.set(name, value),
      },
    };
    return { RED, settings, local };
  };

  test('among the settings that Node-RED keeps for the user', async () => {
    const { Reminder } = await load('legacy/reminder.js');
    const { RED, settings, local } = editor(true);
    new Reminder(RED).putOff(2);
    assert.equal(new Reminder(RED).later.count, 2);
    assert.deepEqual([settings.size, local.size], [1, 0]);
  });

  test('in the browser and by the user\'s name, where Node-RED keeps none', async () => {
    const { Reminder } = await load('legacy/reminder.js');
    const { RED, settings, local } = editor(false);
    new Reminder(RED).putOff(2);
    assert.equal(new Reminder(RED).later.count, 2);
    assert.deepEqual([settings.size, [...local.keys()]], [0, ['secretManagerLater:somebody']]);
    RED.settings.user.username = 'somebody-else';
    assert.equal(new Reminder(RED).later, null);
    local.set('secretManagerLater:somebody-else', 'not JSON');
    assert.equal(new Reminder(RED).later, null);
  });
});

test('our node keeps every setting that is read of an older package', async () => {
  const { FIELDS } = await load('legacy/old-settings.js');
  const html = fs.readFileSync(path.join(__dirname, '..', '..', '..', 'src', 'legacy-node.html'), 'utf8');
  const defaults = /defaults: \{([^]*?)\n {6}\},/.exec(html)?.[1] ?? '';
  for (const name of Object.values(FIELDS).flat()) assert.match(defaults, new RegExp(`\\b${name}: \\{`), String(name));
});

describe('which settings differ', () => {
  const status = { autoSync: { value: 'Live', managedBy: null }, syncOnSave: { value: true, managedBy: null }, flowApps: 3 };
  const old = [{ autosync: '30m', syncOnSave: false }];
  /** @type {[string, object[], any, object][]} */
  const TABLE = [
    ['both', old, status, { wanted: { autoSync: '30m', syncOnSave: false }, here: { autoSync: 'Live', syncOnSave: true }, owned: {}, flowApps: 3 }],
    ['none', [{ autosync: '30m', syncOnSave: true }], { ...status, autoSync: { value: '30m', managedBy: null } }, { wanted: {}, here: {}, owned: {}, flowApps: 1 }],
    ['nothing that would be for other flow apps', [{ syncOnSave: false }], status, { wanted: { syncOnSave: false }, here: { syncOnSave: true }, owned: {}, flowApps: 1 }],
    ['one is GitOps\'s', old, { ...status, autoSync: { value: 'Live', managedBy: 'argocd' } }, { wanted: { syncOnSave: false }, here: { syncOnSave: true }, owned: { autoSync: 'argocd' }, flowApps: 1 }],
    ['one is GitOps\'s, and the same', [{ autosync: '30m' }], { ...status, autoSync: { value: '30m', managedBy: 'argocd' } }, { wanted: {}, here: {}, owned: {}, flowApps: 1 }],
    ['no sync serves this flow app', old, { ...status, autoSync: null, syncOnSave: null }, { wanted: {}, here: {}, owned: {}, flowApps: 1 }],
    ['the operator was not heard', old, null, { wanted: {}, here: {}, owned: {}, flowApps: 1 }],
    ['of two nodes, the first that says something', [{ name: 'a' }, { autosync: '12h' }, { autosync: '24h', syncOnSave: false }], status, { wanted: { autoSync: '12h', syncOnSave: false }, here: { autoSync: 'Live', syncOnSave: true }, owned: {}, flowApps: 3 }],
  ];
  for (const [what, definitions, told, expected] of TABLE) {
    test(what, async () => {
      const { difference } = await load('legacy/take-over.js');
      assert.deepEqual(difference(definitions, told), expected);
    });
  }
});

describe('the nodes of the editor', () => {
  const flows = [{ id: 'a', label: 'Ingest' }, { id: 'b', label: 'Archive', locked: true }];
  const nodes = [
    { id: '1', type: TYPE, z: 'a', autosync: '30m' }, { id: '2', type: 'unknown', z: 'a', _orig: { type: TYPE, interval: '30' } },
    { id: '3', type: TYPE, z: 'b' }, { id: '4', type: TYPE, z: 'sub' }, { id: '5', type: 'inject', z: 'a' }, { id: '6', type: 'unknown', z: 'a', _orig: { type: 'other' } },
  ];
  const RED = {
    nodes: {
      eachNode: (/** @type {any} */ look) => nodes.forEach(look),
      eachConfig: (/** @type {any} */ look) => look({ id: '7', type: TYPE }),
      workspace: (/** @type {string} */ z) => flows.find(({ id }) => id === z),
      subflow: (/** @type {string} */ z) => (z === 'sub' ? { id: 'sub', name: 'Shared' } : undefined),
    },
  };

  test('are found by type, of known and unknown types, with their flow and whether it is locked', async () => {
    const { find } = await load('legacy/nodes.js');
    const found = find(RED, TYPE);
    assert.deepEqual(found.map(({ id, flow, locked }) => [id, flow, locked]),
      [['1', 'Ingest', false], ['2', 'Ingest', false], ['3', 'Archive', true], ['4', 'Shared', false], ['7', '', false]]);
    assert.equal(found[1].says.interval, '30');
  });

  test('nothing is touched where all are locked', async () => {
    const { remove } = await load('legacy/nodes.js');
    assert.equal(remove(null, [{ id: '3', flow: 'Archive', locked: true, says: {} }]), 0);
  });
});
