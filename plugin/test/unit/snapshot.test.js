'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const util = require('node:util');

const { snapshotOf: snapshot } = require('./parts');

test('text stays text, also where it looks like JSON; JSON becomes what it says', () => {
  const of = snapshot({ text: { NUMBER: '42', BOM: '\ufeffx' }, json: { LIST: [1, { a: null }], NULL: null } });
  assert.equal(of.value('NUMBER'), '42');
  assert.equal(of.value('BOM'), '\ufeffx');
  assert.deepEqual(of.value('LIST'), [1, { a: null }]);
  assert.equal(of.value('NULL'), null);
  assert.equal(of.text('LIST'), '[1,{"a":null}]');
  assert.equal(of.value('ABSENT'), undefined);
  assert.equal(of.has('ABSENT'), false);
});

test('a flow may change the JSON that it was given, and nobody else sees it', () => {
  const of = snapshot({ json: { ACCOUNT: { user: 'ada', roles: ['editor'] } } });
  const mine = /** @type {any} */ (of.value('ACCOUNT'));
  mine.user = 'eve';
  mine.roles.push('admin');
  assert.deepEqual(of.value('ACCOUNT'), { user: 'ada', roles: ['editor'] });
});

test('a snapshot is frozen as a whole', () => {
  const of = snapshot({ text: { A: '1' } });
  const edits = [
    () => { of.version = 9; },
    () => { of.keys.push({ name: 'B', format: 'text' }); },
    () => { of.keys[0].name = 'B'; },
  ];
  for (const edit of edits) assert.throws(edit, TypeError);
  const metadata = of.metadata();
  metadata.keys[0].name = 'B';
  assert.equal(of.metadata().keys[0].name, 'A');
});

test('keys with the names of Object.prototype, dots and dashes are keys like any other', () => {
  const text = Object.fromEntries(['__proto__', 'constructor', 'hasOwnProperty', 'a.b', 'my-token', '.hidden', '1st'].map((name) => [name, `of ${name}`]));
  Object.defineProperty(text, '__proto__', { value: 'of __proto__', enumerable: true });
  const of = snapshot({ text });
  for (const name of Object.keys(text)) assert.equal(of.value(name), `of ${name}`, name);
  assert.equal(of.has('toString'), false);
  assert.equal(of.value('toString'), undefined);
  assert.equal(snapshot({ rawJson: { J: '{"__proto__": {"admin": true}}' } }).value('J').admin, undefined);
});

test('nothing that prints a snapshot shows a value', () => {
  const of = snapshot({ text: { A: 'hunter2' }, json: { B: { c: 'hunter2' } } });
  const prints = [util.inspect(of, { depth: 9, showHidden: true }), JSON.stringify(of), JSON.stringify(of.metadata()), String(of)];
  for (const print of prints) assert.doesNotMatch(print, /hunter2/);
});

test('SECRETS_METADATA tells version, revision, times and keys', () => {
  assert.deepEqual(snapshot({ version: 43, text: { A: '1' }, json: { B: 1 } }).metadata(), {
    version: 43,
    revision: '43-0123456789abcdef',
    createdAt: '2026-01-01T00:00:00Z',
    updatedAt: '2026-01-02T00:00:00Z',
    issuedAt: '2026-01-02T00:00:01Z',
    keys: [{ name: 'A', format: 'text' }, { name: 'B', format: 'json' }],
  });
});

test('a number beyond 2^53 is found by the name of its key', () => {
  const table = [
    ['12345678901234567890', true], ['{"id": 9007199254740993}', true], ['[-9007199254740993]', true], ['1e400', true],
    ['9007199254740991', false], ['{"id": "9007199254740993"}', false], ['"\\"12345678901234567890"', false], ['0.1', false],
    ['{"12345678901234567890": 1}', false], ['["\\\\", 12345678901234567890]', true],
  ];
  for (const [json, inexact] of table) {
    assert.deepEqual(snapshot({ rawJson: { KEY: json }, text: { T: '12345678901234567890' } }).inexact, inexact ? ['KEY'] : [], json);
  }
});

test('what changed is told by key name, the format included', () => {
  const before = snapshot({ text: { SAME: '1', MOVED: '1', GONE: '1', FORMAT: '1' } });
  const after = snapshot({ version: 2, text: { SAME: '1', MOVED: '2', NEW: '1' }, json: { FORMAT: 1 } });
  assert.deepEqual(after.changesSince(before), { added: ['NEW'], changed: ['FORMAT', 'MOVED'], removed: ['GONE'] });
  assert.deepEqual(before.changesSince(null), { added: ['FORMAT', 'GONE', 'MOVED', 'SAME'], changed: [], removed: [] });
});

test('two are equal only when a flow could not tell them apart', () => {
  const of = { text: { A: '1' } };
  assert.ok(snapshot(of).equals(snapshot(of)));
  for (const other of [{ text: { A: '2' } }, { ...of, version: 2 }, { ...of, issuedAt: '2026-02-02T00:00:00Z' }, { ...of, space: 'x' }, { text: {} }]) {
    assert.ok(!snapshot(other).equals(snapshot(of)), JSON.stringify(other));
  }
  assert.ok(!snapshot(of).equals(null));
});

test('what is half, wrong or more than was said is refused in the contract\'s words, by name and never by value', () => {
  const of = { version: 7, text: { A: 'hunter2' }, json: { B: 'hunter2' } };
  const said = '7-0123456789abcdef';
  /** @type {[string, (files: Map<string, any>) => unknown, object, string | null][]} */
  const table = [
    ['SnapshotIncomplete', (files) => files.delete('A'), { what: 'keys-missing', names: 'A' }, said],
    ['SnapshotIncomplete', (files) => files.set('C', Buffer.from('hunter2')), { what: 'keys-unnamed', names: 'C' }, said],
    ['SnapshotMalformed', (files) => files.set('B', Buffer.from('{hunter2')), { what: 'not-json', file: 'B' }, said],
    ['SnapshotMalformed', (files) => files.set('B', Buffer.alloc(0)), { what: 'not-json', file: 'B' }, said],
    ['SnapshotMalformed', (files) => files.set('A', Buffer.from([0x68, 0xff])), { what: 'not-utf8', file: 'A' }, said],
    ['SnapshotMalformed', (files) => files.set('.spacesync.json', Buffer.from('{"space":')), { what: 'not-json', file: '.spacesync.json' }, null],
  ];
  for (const [word, edit, detail, revision] of table) {
    assert.throws(() => snapshot(of, edit), (/** @type {any} */ problem) => {
      assert.deepEqual({ word: problem.word, detail: problem.detail, revision: problem.revision }, { word, detail, revision });
      return !util.inspect(problem).includes('hunter2');
    });
  }
});

test('each field of .spacesync.json is checked, and the first wrong one named', () => {
  /** @type {[string, any][]} */
  const table = [
    ['space', { space: 1 }], ['version', { version: '7' }], ['version', { version: -1 }], ['version', { version: 2 ** 60 }],
    ['revision', { revision: undefined }], ['revision', { revision: 'of hunter2' }], ['createdAt', { createdAt: 'then' }],
    ['updatedAt', { updatedAt: 5 }], ['issuedAt', { issuedAt: null }], ['keys', { keys: {} }], ['keys', { keys: [{ name: 'A', format: 1 }] }],
    ['keys', { keys: [{ name: 'A', format: 'text' }, { name: 'A', format: 'json' }] }], ['keys', { keys: [null] }],
  ];
  for (const [field, wrong] of table) {
    const edit = (/** @type {Map<string, Buffer>} */ files) => {
      const meta = JSON.parse(String(files.get('.spacesync.json')));
      files.set('.spacesync.json', Buffer.from(JSON.stringify({ ...meta, ...wrong })));
    };
    assert.throws(() => snapshot({ text: { A: '1' } }, edit), { word: 'SnapshotMalformed', detail: { what: 'field', file: '.spacesync.json', names: field } });
  }
  for (const meta of ['null', '[]', '"x"', '7']) {
    assert.throws(() => snapshot({}, (files) => files.set('.spacesync.json', Buffer.from(meta))), { word: 'SnapshotMalformed' });
  }
});

test('a format of another day is text', () => {
  const of = snapshot({ text: { A: '{}' } }, (files) => {
    files.set('.spacesync.json', Buffer.from(String(files.get('.spacesync.json')).replace('"text"', '"yaml"')));
  });
  assert.equal(of.value('A'), '{}');
  assert.deepEqual(of.keys, [{ name: 'A', format: 'text' }]);
});

test('an empty space is a snapshot like any other', () => {
  assert.deepEqual(snapshot({}).keys, []);
});
