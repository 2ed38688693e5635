'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { servesSecrets } = require('../../src/version');

test('the plugin serves from 5.3.0 on, its pre-releases included', () => {
  const serving = [
    '5.3.0', 'v5.3.0', '5.3.0-rc.1', 'v5.3.0-0', '5.3.1', '5.10.0', '6.0.0', '10.0.0', '5.3.0+build.7', '99999999999999999999.0.0', '5.3', '6', ' 5.3.0\n',
  ];
  const legacy = ['5.2.99', '5.2.0-rc.1', 'v4.9.9', '0.0.0', '5.2', '5', '5.2.9+build'];
  for (const version of serving) assert.equal(servesSecrets(version), true, version);
  for (const version of legacy) assert.equal(servesSecrets(version), false, version);
});

test('a version that was not told, or that is none, counts as new enough', () => {
  for (const version of [null, '', 'latest', 'x5.2.0', '5.2.0.1', '-1']) assert.equal(servesSecrets(version), true, String(version));
});
