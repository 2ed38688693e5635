'use strict';

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { util } = require('@node-red/util');

const { MASK, answer, mask } = require('../../../src/reading/answer');
const { Names } = require('../../../src/reading/names');
const { parse } = require('../../../src/snapshot');
const { delivered } = require('../../kubelet-volume');

const names = new Names(util.normalisePropertyExpression);

/** A snapshot as it is delivered. */
function snapshot(of) {
  const { '.spacesync.json': meta, '.spacesync/revision': _, ...files } = delivered(of);
  return parse(Buffer.from(meta), new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])));
}

const SPACE = snapshot({
  text: { token: 'a text', '1st': 'first', 7: 'seven', 'my-token': 'dashed', 'a.b': 'dotted', json: '{"as":"text"}', constructor: 'a key like any other' },
  json: { login: { user: 'u', roles: ['a', { deep: null }] }, number: 7, nothing: null },
  rawJson: { __proto__: '1' },
});
const read = (key, from = SPACE) => answer(from, names.path(key));
const see = (key) => mask(SPACE, names.path(key));

describe('what a flow reads', () => {
  it('is text as it is, and JSON as what it stands for', () => {
    assert.equal(read('SECRETS.token'), 'a text');
    assert.equal(read('SECRETS.json'), '{"as":"text"}');
    assert.equal(read('SECRETS.number'), 7);
    assert.equal(read('SECRETS.nothing'), null);
    assert.deepEqual(read('SECRETS.login'), { user: 'u', roles: ['a', { deep: null }] });
    assert.equal(read('SECRETS.login.roles[0]'), 'a');
    assert.equal(read('SECRETS["login"]["roles"][1].deep'), null);
    assert.equal(read('SECRETS.login.roles.length'), 2);
  });

  it('is a copy of its own at each read', () => {
    const first = /** @type {any} */ (read('SECRETS'));
    first.login.roles.push('mine');
    first.token = 'mine';
    delete first.number;
    const second = /** @type {any} */ (read('SECRETS'));
    assert.deepEqual(Object.keys(second).sort(), SPACE.keys.map((key) => key.name).sort());
    assert.deepEqual([second.token, second.login.roles, second.number], ['a text', ['a', { deep: null }], 7]);
  });

  it('is found by every name that a key may have', () => {
    assert.equal(read('SECRETS["a.b"]'), 'dotted');
    assert.equal(read('SECRETS.a.b'), undefined);
    assert.equal(read('SECRETS.my-token'), 'dashed');
    assert.equal(read('SECRETS.1st'), 'first');
    assert.equal(read('SECRETS.7'), 'seven');
    assert.equal(read('SECRETS.constructor'), 'a key like any other');
    assert.equal(answer(snapshot({ text: { token: 'a text' } }), ['SECRETS', 'constructor']), undefined);
  });

  it('is nothing where there is nothing', () => {
    for (const key of ['other', 'token.deep.deeper', 'login.constructor', 'login.__proto__', 'nothing.deep', 'toString', 'hasOwnProperty']) {
      assert.equal(read(`SECRETS.${key}`), undefined, key);
    }
    assert.equal(read('SECRETS', null), undefined);
    assert.equal(read('SECRETS_METADATA', null), undefined);
  });

  it('holds a key named __proto__ as a key, and pollutes nothing', () => {
    const files = new Map([['__proto__', Buffer.from('{"polluted":true}')]]);
    const meta = { ...JSON.parse(delivered({})['.spacesync.json']), keys: [{ name: '__proto__', format: 'json' }] };
    const odd = parse(Buffer.from(JSON.stringify(meta)), files);
    const all = /** @type {any} */ (read('SECRETS', odd));
    assert.deepEqual(Object.keys(all), ['__proto__']);
    assert.equal(Object.getPrototypeOf(all), Object.prototype);
    assert.deepEqual(Object.getOwnPropertyDescriptor(read('SECRETS', odd), '__proto__')?.value, { polluted: true });
    assert.deepEqual(read('SECRETS.__proto__', odd), { polluted: true });
    assert.equal(({}).polluted, undefined);
  });

  it('tells of the metadata what the console tells', () => {
    assert.deepEqual(Object.keys(/** @type {any} */ (read('SECRETS_METADATA'))), ['version', 'revision', 'createdAt', 'updatedAt', 'issuedAt', 'keys']);
    assert.equal(read('SECRETS_METADATA.keys[0].name'), SPACE.keys[0].name);
    assert.equal(read('SECRETS_METADATA.none'), undefined);
  });
});

describe('what people see', () => {
  it('is each name with one and the same mask', () => {
    assert.deepEqual(see('SECRETS'), Object.fromEntries(SPACE.keys.map((key) => [key.name, MASK])));
    assert.equal(see('SECRETS.token'), MASK);
    assert.equal(see('SECRETS.other'), undefined);
  });

  it('tells nothing of what a JSON value is made of', () => {
    for (const key of ['login', 'login.user', 'login.none', 'login.roles[0]', 'number']) assert.equal(see(`SECRETS.${key}`), MASK, key);
  });

  it('is the metadata in clear', () => {
    assert.deepEqual(see('SECRETS_METADATA'), read('SECRETS_METADATA'));
  });
});

describe('a key of the global context', () => {
  it('is ours by Node-RED’s own rules', () => {
    for (const key of ['SECRETS', 'SECRETS.x', 'SECRETS["x y"]', '"SECRETS".x', 'SECRETS_METADATA', 'SECRETS[0]']) assert.ok(names.has(key), key);
    for (const key of ['SECRETSX', 'XSECRETS', 'a.SECRETS', 'secrets', 'SECRETS_', 'SECRETS$', 7, undefined]) assert.ok(!names.has(key), `${key}`);
  });

  it('is ours to refuse but not to answer where it does not parse', () => {
    for (const key of ['SECRETS.', 'SECRETS.my key', 'SECRETS[', "'SECRETS"]) {
      assert.equal(names.path(key), null, key);
      assert.ok(names.has(key), key);
    }
  });
});
