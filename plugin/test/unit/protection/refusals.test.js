'use strict';

const assert = require('node:assert/strict');
const { it } = require('node:test');

const { Refusals } = require('../../../src/protection/refusals');

it('a refused write is warned about once a minute, and each writer gets its error', () => {
  let now = 0;
  let warned = 0;
  const refusals = new Refusals(() => { warned += 1; }, () => now);
  for (; now < 120_000; now += 1000) assert.match(refusals.refuse().message, /read-only/);
  assert.equal(warned, 2);
});
