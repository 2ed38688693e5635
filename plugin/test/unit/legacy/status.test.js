'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { statusOf } = require('../../../src/legacy/status');

const say = (/** @type {string} */ text, args = {}) => [text.replace('legacy.status.', ''), ...Object.values(args)].join(' ');
const loaded = { state: 'loaded', current: { version: 7 }, problem: null };
const FACTS = { first: true, served: true, protection: 'memory-store', holder: loaded, refused: null };

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
  ['settings are somebody else’s', { refused: 'argocd' }, 'green ring refused 7 argocd'],
];
for (const [what, facts, expected] of CASES) {
  test(`below a legacy node: ${what}`, () => {
    const { fill, shape, text } = statusOf(/** @type {any} */ ({ ...FACTS, ...facts }), say);
    assert.equal([fill, shape, text].join(' '), expected);
  });
}
