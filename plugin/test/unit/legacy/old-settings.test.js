'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

test('what a legacy node was set to, however it says it', async () => {
  const { oldSettings } = await import('../../../resources/legacy/old-settings.js');
  const cases = /** @type {[object, object][]} */ ([
    [{ autosync: '30m', syncOnSave: true }, { autoSync: '30m', syncOnSave: true }],
    [{ autosync: '1m', syncOnSave: false }, { autoSync: '1m', syncOnSave: false }],
    [{ interval: 60 }, { autoSync: '60m' }],
    [{ interval: '1' }, { autoSync: '1m' }],
    [{ syncInterval: 720 }, { autoSync: '12h' }],
    [{ autoSync: 'Every 24 hours' }, { autoSync: '24h' }],
    [{ autoSync: 'every 30 min' }, { autoSync: '30m' }],
    [{ autosync: '1h' }, { autoSync: '60m' }],
    [{ synconsave: 'True' }, { syncOnSave: true }],
    [{ synconsave: 'false' }, { syncOnSave: false }],
    // Our own names first, and what says nothing does not hide what does.
    [{ autosync: '12h', interval: 1 }, { autoSync: '12h' }],
    [{ autosync: '', interval: 1, syncOnSave: null, synconsave: true }, { autoSync: '1m', syncOnSave: true }],
    [{}, {}],
    [{ autosync: '7m', syncOnSave: 'perhaps' }, {}],
    [{ autosync: { 30: 'm' }, interval: NaN, syncOnSave: 1 }, {}],
    [{ autosync: true, interval: -30 }, {}],
  ]);
  for (const [node, settings] of cases) assert.deepEqual(oldSettings(/** @type {any} */ (node)), settings, JSON.stringify(node));
});
