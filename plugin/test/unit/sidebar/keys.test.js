'use strict';

// What the Secrets section is made of: how keys are referred to, found in flows, completed and marked.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const util = require('node-red-5/node_modules/@node-red/util');

const { load } = require('./catalog');
const { flows, ways } = require('../../real/ways');

describe('what is copied', () => {
  /** @type {[string, string, string, string, string][]} name, and the four forms */
  const TABLE = [
    ['my_api_token', 'global.SECRETS.my_api_token', 'SECRETS.my_api_token', '{{{global.SECRETS.my_api_token}}}', '$globalContext("SECRETS.my_api_token")'],
    ['my-token', 'global.SECRETS["my-token"]', 'SECRETS.my-token', '{{{global.SECRETS.my-token}}}', '$globalContext("SECRETS.my-token")'],
    ['1st', 'global.SECRETS["1st"]', 'SECRETS.1st', '{{{global.SECRETS.1st}}}', '$globalContext("SECRETS.1st")'],
    ['a.b', 'global.SECRETS["a.b"]', 'SECRETS["a.b"]', '{{{global.SECRETS["a.b"]}}}', '$globalContext("SECRETS[\'a.b\']")'],
    ['-x', 'global.SECRETS["-x"]', 'SECRETS["-x"]', '{{{global.SECRETS["-x"]}}}', '$globalContext("SECRETS[\'-x\']")'],
    ['007', 'global.SECRETS["007"]', 'SECRETS["007"]', '{{{global.SECRETS["007"]}}}', '$globalContext("SECRETS[\'007\']")'],
    ['.npmrc', 'global.SECRETS[".npmrc"]', 'SECRETS[".npmrc"]', '{{{global.SECRETS[".npmrc"]}}}', '$globalContext("SECRETS[\'.npmrc\']")'],
    ['__proto__', 'global.SECRETS.__proto__', 'SECRETS.__proto__', '{{{global.SECRETS.__proto__}}}', '$globalContext("SECRETS.__proto__")'],
  ];
  for (const [name, ...expected] of TABLE) {
    test(name, async () => {
      const { FORMS, reference } = await load('references.js');
      assert.deepEqual(FORMS.map((/** @type {string} */ form) => reference(name, form)), expected);
    });

    test(`${name} is what Node-RED and JavaScript read, and what a scan finds again`, async () => {
      const { reference } = await load('references.js');
      const { keysIn, keysOf } = await load('scan.js');
      const { normalisePropertyExpression } = util.util;
      const jsonata = /^\$globalContext\("(.*)"\)$/.exec(reference(name, 'jsonata'))?.[1];
      const mustache = /^\{\{\{global\.(.*)\}\}\}$/.exec(reference(name, 'mustache'))?.[1];
      for (const path of [reference(name, 'typed'), jsonata, mustache]) assert.deepEqual(normalisePropertyExpression(path), ['SECRETS', name]);
      const secrets = new Proxy({}, { get: (_, key) => `read ${String(key)}` });
      assert.equal(new Function('global', `return ${reference(name, 'function')}`)({ SECRETS: secrets }), `read ${name}`);
      for (const form of ['typed', 'mustache', 'jsonata']) assert.deepEqual([...keysIn(reference(name, form))], [name]);
      assert.deepEqual([...keysOf({ func: `return ${reference(name, 'function')};` })], [name]);
    });
  }
});

describe('which keys a node uses', () => {
  /** @type {[string, object, string[]][]} */
  const TABLE = [
    ['a Function node', { func: 'msg.a = global.SECRETS.one; msg.b = global.get("SECRETS.two");', initialize: "global.get('SECRETS[\"a.b\"]')" }, ['a.b', 'one', 'two']],
    ['a difference in code', { func: 'return global.SECRETS.count-1' }, ['count']],
    ['a dash in a string in code', { func: 'global.get("SECRETS.my-token")' }, ['my-token']],
    ['another store', { func: 'global.get("#:(disk)::SECRETS.my-token")' }, ['my-token']],
    ['the whole of it, then one', { func: 'const a = global.get("SECRETS").one, b = global.get(\'SECRETS\')["b.c"], c = global.SECRETS?.three;' }, ['b.c', 'one', 'three']],
    ['comments', { func: '// global.SECRETS.old\n/* SECRETS.older */ global.SECRETS.now; "https://x"; global.SECRETS.then' }, ['now', 'then']],
    ['a Change node', { rules: [{ t: 'set', p: 'headers', to: 'SECRETS.account.user', tot: 'global' }] }, ['account']],
    ['JSONata', { rules: [{ to: '{"a": $globalContext("SECRETS.my-token"), "b": $globalContext("SECRETS").two - 1}', tot: 'jsonata' }] }, ['my-token', 'two']],
    ['a URL', { url: 'https://x/?k={{{global.SECRETS.k-1}}}&l={{global.SECRETS["a.b"]}}' }, ['a.b', 'k-1']],
    ['a property within JSON text', { env: [{ name: 'X', value: '{"a":"SECRETS[\\"a.b\\"]"}', type: 'json' }] }, ['a.b']],
    ['other names', { func: 'global.MY_SECRETS.a; SECRETS_METADATA.version; msg.SECRETSx.a; global.get("SECRETS")' }, []],
    ['words for people', { name: 'SECRETS.a', info: 'reads SECRETS.b', label: 'SECRETS.c' }, []],
    ['what the editor keeps', { _def: { x: 'SECRETS.a' }, _config: 'SECRETS.b' }, []],
    ['no name yet', { to: 'SECRETS.', func: 'global.SECRETS[name]' }, []],
  ];
  for (const [what, properties, expected] of TABLE) {
    test(what, async () => {
      const { keysOf } = await load('scan.js');
      assert.deepEqual([...keysOf(properties)].sort(), expected);
    });
  }

  test('circles end', async () => {
    const { keysOf } = await load('scan.js');
    const rules = /** @type {any[]} */ (['SECRETS.a']);
    rules.push(rules);
    assert.deepEqual([...keysOf({ rules })], ['a']);
  });
});

test('every way of reading that works is counted, by the flows that show that it works', async () => {
  const { keysOf } = await load('scan.js');
  const of = Object.fromEntries(ways('disk').map(({ name, nodes }) =>
    [name, [...new Set(nodes.flatMap((/** @type {any} */ node) => [...keysOf(node)]))].sort().join(' ')]));
  const expected = {
    get: 'token', nested: 'login', dotted: 'a.b', array: 'login none token', 'named-store': 'token', parent: 'token', property: 'token',
    'property-nested': 'a.b login', 'context-property': 'token', callback: 'token', 'callback-array': 'login token', later: 'token', 'on-start': 'token',
    change: 'a.b login token', switch: 'token', inject: 'token', template: 'a.b login token', request: 'login place',
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, of[name]])), expected);
  // To take all of it names no key.
  assert.equal(of.all, '');
  const [onStop] = flows('disk').filter(({ id }) => id === 'on-stop');
  assert.deepEqual([...keysOf(onStop)], ['token']);
});

test('the open flows: who uses what, and what is missing', async () => {
  const { usage, missing } = await load('usage.js');
  const defaults = { func: {}, rules: {}, wires: {} };
  const nodes = [
    { id: 'f', type: 'function', name: 'sign', z: 'tab', func: 'global.SECRETS.one; global.SECRETS.gone', _def: { defaults }, outputs: 'SECRETS.not-saved' },
    { id: 'c', type: 'change', z: 'sub', rules: [{ to: 'SECRETS.one' }], _def: { defaults } },
    { id: 'u', type: 'unknown', name: 'x', z: 'tab', _def: { defaults: {} }, _orig: { type: 'foreign', token: '{{global.SECRETS.far}}' } },
  ];
  const RED = {
    nodes: {
      eachNode: (/** @type {any} */ look) => nodes.forEach(look), eachConfig: () => {}, eachSubflow: () => {}, eachGroup: () => {},
      eachWorkspace: (/** @type {any} */ look) => look({ id: 'tab', type: 'tab', label: 'Ingest', env: [{ name: 'A', value: 'SECRETS.env' }], _def: { defaults: {} } }),
      workspace: (/** @type {string} */ id) => (id === 'tab' ? { label: 'Ingest' } : undefined), subflow: (/** @type {string} */ id) => (id === 'sub' ? { name: 'Shared' } : undefined),
    },
    utils: { getNodeLabel: (/** @type {any} */ node, /** @type {string} */ otherwise) => node.name || otherwise },
  };
  const users = usage(RED);
  assert.deepEqual(users.get('one'), [{ id: 'f', label: 'sign', flow: 'Ingest' }, { id: 'c', label: 'change', flow: 'Shared' }]);
  assert.deepEqual([...users.keys()].sort(), ['env', 'far', 'gone', 'one']);
  assert.deepEqual(missing(users, ['one', 'env', 'unused']), ['far', 'gone']);
});

describe('what is marked', () => {
  const keys = (/** @type {string[]} */ names, revision = names.join(), last = {}) =>
    ({ version: 1, revision, keys: names.map((name) => ({ name, format: 'text' })), last: { added: [], changed: [], removed: [], at: '', ...last } });
  const marks = async (/** @type {any[]} */ ...answers) => {
    const { mark } = await load('changes.js');
    return Object.fromEntries(answers.slice(1).reduce((all, now, at) => mark(all, answers[at], now), mark(new Map(), null, answers[0])));
  };

  test('nothing at first, and nothing by the same answer again', async () => {
    assert.deepEqual(await marks(keys(['a', 'b'], '1', { changed: ['a'] }), keys(['a', 'b'], '1', { changed: ['a'] })), {});
  });
  test('who came, who went, whose value is another', async () => {
    assert.deepEqual(await marks(keys(['a', 'b']), keys(['b', 'c'], '2', { changed: ['b'], added: ['c'], removed: ['a'] })), { a: 'removed', b: 'changed', c: 'added' });
  });
  test('over several answers', async () => {
    assert.deepEqual(await marks(keys(['a'], '1'), keys(['a', 'b'], '2'), keys(['a', 'b'], '3', { changed: ['b'] }), keys(['a'], '4'), keys([], '5'), keys(['a'], '6')), { a: 'changed' });
  });
});

test('other pods', async () => {
  const { otherPods } = await load('pods.js');
  const status = (/** @type {any} */ pods, /** @type {any} */ loaded, here = '43-aa') => ({ revision: '43-aa', flowApp: { pods, loaded }, pod: { loaded: here } });
  assert.deepEqual(otherPods(status(4, 3)), { pods: 3, loaded: 2 });
  assert.deepEqual(otherPods(status(4, 3, '42-zz')), { pods: 3, loaded: 3 });
  assert.equal(otherPods(status(1, 1)), null);
  assert.equal(otherPods(status(null, null)), null);
  assert.equal(otherPods(null), null);
});

describe('completion', () => {
  /** @type {[string, string, string | null][]} before the cursor, the key, the line after */
  const TABLE = [
    ['return global.SECRETS.', 'my_token', 'return global.SECRETS.my_token'],
    ['return global.SECRETS.my', 'my-token', 'return global.SECRETS["my-token"]'],
    ['return global.SECRETS["', 'a.b', 'return global.SECRETS["a.b"]'],
    ["global.get('SECRETS.", 'my-token', "global.get('SECRETS.my-token"],
    ["global.get('SECRETS.", 'a.b', "global.get('SECRETS[\"a.b\"]"],
    ['$globalContext("SECRETS.', 'a.b', '$globalContext("SECRETS[\'a.b\']'],
    ['x {{{global.SECRETS.', 'my-token', 'x {{{global.SECRETS.my-token'],
    ['x {{{global.SECRETS.', 'a.b', 'x {{{global.SECRETS["a.b"]'],
    ['global.SECRETS', 'a', null],
    ['global.MY_SECRETS.', 'a', null],
    ['global.SECRETS.a.', 'b', null],
  ];
  for (const [before, name, expected] of TABLE) {
    test(`${before} + ${name}`, async () => {
      const { keyBegun, completed } = await load('completion.js');
      const begun = keyBegun(before);
      assert.equal(begun === null ? null : before.slice(0, begun.start) + completed(name, before, begun), expected);
    });
  }
});
