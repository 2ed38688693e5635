'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { readOptions } = require('../../src/options');

const DEFAULTS = { mountPath: '/var/run/spacesync', waitMs: 5000, flowAppVersion: null, legacyNodeType: 'qibb-secret-manager' };

test('nothing needs to be set', () => {
  assert.deepEqual(readOptions({}, {}), DEFAULTS);
});

test('settings.js goes before the environment', () => {
  const env = { SPACESYNC_MOUNT_PATH: '/env', FLOW_APP_VERSION: '5.0.0' };
  assert.deepEqual(readOptions({}, env), { ...DEFAULTS, mountPath: '/env', flowAppVersion: '5.0.0' });
  assert.deepEqual(readOptions({ flowAppVersion: '5.1.0' }, env), { ...DEFAULTS, mountPath: '/env', flowAppVersion: '5.1.0' });
  const own = { mountPath: '/own', waitMs: 0, flowAppVersion: '5.2.0', legacyNodeType: 'old' };
  assert.deepEqual(readOptions({ secretManager: own, flowAppVersion: '5.1.0' }, env), own);
});

test('what makes no sense is as if it were not there', () => {
  const own = { mountPath: 'relative', waitMs: '5', flowAppVersion: 5.3, legacyNodeType: ' ' };
  assert.deepEqual(readOptions({ secretManager: own }, { SPACESYNC_MOUNT_PATH: '', FLOW_APP_VERSION: '' }), DEFAULTS);
  for (const waitMs of [-1, NaN, Infinity, 3_600_000]) assert.equal(readOptions({ secretManager: { waitMs } }, {}).waitMs, 5000);
});
