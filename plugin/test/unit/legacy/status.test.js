'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { statusOf } = require('../../../src/legacy/status');

const TEXTS = /** @type {Record<string, string>} */ ({ 'reason.SourceSealed': 'it is sealed' });
const say = (/** @type {string} */ text, args = {}) => [TEXTS[text] ?? text.replace('legacy.status.', ''), ...Object.values(args)].join(' ');
const loaded = { state: 'loaded', current: { version: 7 }, problem: null };
const FACTS = { first: true, served: true, protection: 'memory-store', holder: loaded, refused: null, operator: null };
const operator = (/** @type {object} */ condition) => ({ reachable: true, status: { conditions: [{ type: 'KeysComplete', status: 'False', reason: 'KeysRefused' }, { type: 'Synced', ...condition }] } });

/** @type {[string, object, string][]} what stands below a node, where all else is well */
const CASES = [
  ['all is well', {}, 'green dot synced 7'],
  ['another one', { first: false }, 'yellow ring second'],
  ['another one, where none is well', { first: false, protection: 'none' }, 'yellow ring second'],
  ['not served yet', { served: false, protection: 'none' }, 'grey ring waiting'],
  ['cannot be kept from people', { protection: 'none' }, 'red ring unprotected'],
  ['nothing yet', { holder: { state: 'loading', current: null, problem: null } }, 'grey ring waiting'],
  ['nothing is mounted', { holder: { state: 'waiting', current: null, problem: 'SnapshotMissing' } }, 'grey ring waiting'],
  ['what is mounted cannot be read', { holder: { state: 'waiting', current: null, problem: 'SnapshotMalformed' } }, 'red ring unreadable SnapshotMalformed'],
  ['an old one', { holder: { ...loaded, state: 'stale', problem: 'SnapshotIncomplete' } }, 'yellow dot stale 7 SnapshotIncomplete'],
  ['an old one goes before an owner', { holder: { ...loaded, state: 'stale', problem: 'SnapshotIncomplete' }, refused: 'argocd' }, 'yellow dot stale 7 SnapshotIncomplete'],
  ['the operator is away', { operator: { reachable: false, status: null } }, 'yellow dot unchecked 7'],
  ['it was not asked', { operator: { reachable: null, status: null } }, 'green dot synced 7'],
  ['the store is sealed', { operator: operator({ status: 'False', reason: 'SourceSealed' }), refused: 'argocd' }, 'yellow dot kept 7 it is sealed'],
  ['the operator has a reason of another day', { operator: operator({ status: 'False', reason: 'SourceOnHoliday' }) }, 'yellow dot kept 7 SourceOnHoliday'],
  ['the store is well', { operator: operator({ status: 'True', reason: 'Synced' }) }, 'green dot synced 7'],
  ['what is no reason is not repeated', { operator: operator({ status: 'False', reason: '<b>7</b>' }) }, 'green dot synced 7'],
  ['settings are somebody else’s', { refused: 'argocd' }, 'green ring refused 7 argocd'],
];
for (const [what, facts, expected] of CASES) {
  test(`below a legacy node: ${what}`, () => {
    const { fill, shape, text } = statusOf(/** @type {any} */ ({ ...FACTS, ...facts }), say);
    assert.equal([fill, shape, text].join(' '), expected);
  });
}
