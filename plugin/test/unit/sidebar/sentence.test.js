'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { load, textIn } = require('./catalog');

const NOW = new Date('2026-11-25T14:10:00Z');
const AT_TWO = '2026-11-25T14:02:11Z';

const SNAPSHOT = { state: 'loaded', version: 43, revision: '43-aa', loadedAt: '2026-11-25T14:09:58Z', staleSince: null, problem: null };
const STATUS = {
  sync: 'secrets', version: 43, revision: '43-aa', lastChecked: '2026-11-25T14:09:00Z', autoSync: { value: 'Live', managedBy: null }, suspended: false,
  syncing: false, conditions: [{ type: 'Synced', status: 'True', reason: 'Synced', message: '', since: AT_TWO }],
};
const failing = (/** @type {object} */ of) => ({ lastChecked: AT_TWO, conditions: [{ type: 'Synced', status: 'False', since: AT_TWO, message: '', ...of }] });

/** @param {{snapshot?: object, status?: object | null, operator?: object, lost?: boolean}} of what differs from all being well */
const facts = ({ snapshot, status = {}, operator, lost, ...state }) => ({
  lost,
  state: {
    served: true, protection: 'context-store', protectionReason: null, flowAppVersion: '5.3.0', snapshot: { ...SNAPSHOT, ...snapshot },
    operator: { reachable: true, since: AT_TWO, problem: null, status: status && { ...STATUS, ...status }, ...operator }, ...state,
  },
});

/** @type {[string, any, string, string][]} what, facts, sentence, tone */
const TABLE = [
  ['all is well', facts({}), 'Up to date · version 43 · loaded 2 s ago', 'good'],
  ['nobody who may look', { ...facts({}), mayRead: false }, 'You may not look here: that takes the permission secret-manager.read', 'idle'],
  ['an error of no word', facts({ operator: { reachable: false, problem: 'Status502' } }),
    'Secrets not checked since 14:09; flows run on version 43. The operator answers with an error (status 502) and is asked again; if it lasts, ask your platform team', 'attention'],
  ['a word of a later version', facts({ operator: { reachable: false, problem: 'Haunted' } }),
    'Secrets not checked since 14:09; flows run on version 43. The operator says Haunted, which this version of the plugin has no text for; ask your platform team', 'attention'],
  ['nothing heard yet', { state: null }, 'Asking how it stands …', 'busy'],
  ['the runtime is away', { ...facts({}), lost: true }, 'Node-RED does not answer; what stands here may be old', 'bad'],
  ['an old Flow App', facts(/** @type {any} */ ({ served: false, flowAppVersion: '5.2.0' })),
    'Flow App version 5.2.0 is below 5.3.0: here the legacy Secret Manager node gives secrets to flows', 'idle'],
  ['an old Flow App without a legacy node', facts(/** @type {any} */ ({ served: false, flowAppVersion: '5.2.0', legacy: { ours: true } })),
    'Flow App version 5.2.0 is below 5.3.0: here flows are given secrets as soon as they hold a Secret Manager node; it is in the palette', 'attention'],
  ['no protection', facts(/** @type {any} */ ({ protection: 'none', protectionReason: 'the store x was open' })),
    'Flows are given no secrets, since they could not be kept from the context sidebar: the store x was open', 'bad'],
  ['the first secrets are to come', facts({ snapshot: { state: 'waiting', version: null } }), 'Waiting for the first secrets; flows run without them', 'busy'],
  ['nothing is mounted', facts({ snapshot: { state: 'waiting', version: null, problem: 'SnapshotMissing' } }),
    'Flows run without secrets. Nothing is mounted. Is this flow app a FlowApp of a space, with a sync?', 'attention'],
  ['nothing is mounted, and the operator knows why', facts({ snapshot: { state: 'waiting', version: null, problem: 'SnapshotMissing' }, status: failing({ reason: 'SourceSealed' }) }),
    'Flows run without secrets. The Secret Manager is sealed; flows keep what they have until it is unsealed', 'attention'],
  ['damaged files', facts({ snapshot: { state: 'stale', staleSince: AT_TWO, problem: 'SnapshotMalformed' } }),
    'Secrets not loaded since 14:02; flows run on version 43. The mounted secrets are damaged; the log names the key', 'bad'],
  ['the operator is away', facts({ operator: { reachable: false, problem: 'Unreachable' }, status: { lastChecked: AT_TWO } }),
    'Secrets not checked since 14:02; flows run on version 43. The operator cannot be reached; if it lasts, ask your platform team', 'attention'],
  ['the operator was never there', facts({ operator: { reachable: false, since: AT_TWO, problem: 'NotTold' }, status: null }),
    'Secrets not checked since 14:02; flows run on version 43. This flow app was not told yet where the operator is', 'attention'],
  ['the operator was not asked yet', facts({ operator: { reachable: null }, status: null }), 'Version 43 · loaded 2 s ago', 'good'],
  ['no sync', facts({ status: { sync: null, conditions: [{ type: 'Ready', status: 'False', reason: 'FlowAppTaken', message: 'older', since: AT_TWO }] } }),
    'An older sync serves this flow app. Flows run on version 43', 'attention'],
  ['suspended', facts({ status: { suspended: true } }), 'Syncing is suspended; flows run on version 43', 'idle'],
  ['the store is sealed', facts({ status: failing({ reason: 'SourceSealed' }) }),
    'Secrets not checked since 14:02; flows run on version 43. The Secret Manager is sealed; flows keep what they have until it is unsealed', 'attention'],
  ['a reason of another day', facts({ status: failing({ reason: 'SourceOnFire', message: 'the store burns' }) }),
    'Secrets not checked since 14:02; flows run on version 43. the store burns', 'attention'],
  ['a newer version is coming', facts({ status: { version: 44, revision: '44-bb' } }), 'Version 44 is on its way; flows run on version 43', 'busy'],
  ['being checked', facts({ status: { syncing: true } }), 'Checking for changes; flows run on version 43', 'busy'],
  ['on demand only', facts({ status: { autoSync: { value: 'Manual', managedBy: null } } }), 'Version 43, checked only when asked · loaded 2 s ago', 'good'],
  ['what flows read goes before what the operator knows', facts({ snapshot: { state: 'stale', staleSince: AT_TWO, problem: 'SnapshotIncomplete' }, operator: { reachable: false } }),
    'Secrets not loaded since 14:02; flows run on version 43. A part of the mounted secrets is missing; the log says which', 'bad'],
  ['not checked since the day before', facts({ operator: { reachable: false }, status: { lastChecked: '2026-11-24T23:59:00Z' } }),
    'Secrets not checked since Nov 24, 23:59; flows run on version 43', 'attention'],
];

/** @param {any} of @param {string} [language] */
async function said(of, language) {
  const [{ sentence }, { Times }, text] = await Promise.all([load('sentence.js'), load('times.js'), textIn(language)]);
  const { text: head, tail, tone, detail } = sentence(of, text, new Times(text, NOW, 'UTC'));
  return { text: tail === undefined ? head : `${head} · ${tail}`, tone, detail };
}

for (const [what, of, expected, tone] of TABLE) {
  test(`${what}: ${expected}`, async () => {
    const { text, tone: shown } = await said(of);
    assert.deepEqual({ text, tone: shown }, { text: expected, tone });
  });
}

test('in German', async () => {
  assert.equal((await said(facts({}), 'de')).text, 'Aktuell · Version 43 · geladen vor 2 s');
  const sealed = facts({ status: failing({ reason: 'SourceSealed', message: 'central is sealed' }) });
  const { text, detail } = await said(sealed, 'de');
  assert.equal(text, 'Secrets seit 14:02 nicht geprüft; Flows laufen mit Version 43 weiter. '
    + 'Der Secret Manager ist versiegelt; Flows behalten, was sie haben, bis er entsiegelt ist');
  assert.equal(detail, 'central is sealed');
});

test('what goes on beside it', async () => {
  const [{ notes }, text] = await Promise.all([load('sentence.js'), textIn()]);
  assert.deepEqual(notes(facts({}), text), []);
  assert.deepEqual(notes({ state: null }, text), []);
  const refused = { type: 'KeysComplete', status: 'False', reason: 'KeysRefused', message: '' };
  assert.deepEqual(notes(facts(/** @type {any} */ ({ saves: { pending: true }, status: { conditions: [refused] } })), text),
    ['The last save asks for a sync as soon as the operator is back', 'Some keys are not delivered: their names cannot be held']);
});

test('how long ago', async () => {
  const [{ Times }, text] = await Promise.all([load('times.js'), textIn()]);
  const times = new Times(text, NOW, 'UTC');
  assert.deepEqual(['14:10:05', '14:10:00', '14:09:01', '14:09:00', '13:10:01', '02:10:00'].map((at) => times.ago(`2026-11-25T${at}Z`)),
    ['0 s ago', '0 s ago', '59 s ago', '1 min ago', '59 min ago', '12 h ago']);
  assert.equal(times.ago('2026-11-22T14:10:00Z'), '3 d ago');
  assert.equal(times.exact('2026-11-25T14:03:22Z'), '14:03:22');
  assert.equal(times.clock('2026-11-25T00:05:00Z'), '00:05');
});
