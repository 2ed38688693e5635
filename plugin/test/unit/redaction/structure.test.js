'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const vm = require('node:vm');
const { Redactor } = require('../../../src/redaction/redactor');
const { WITHHELD, redactValue } = require('../../../src/redaction/structure');
const { snapshotOf } = require('./snapshots');

const TOKEN = 'tok-4f9a1c77e2';
const LABEL = '‹SECRETS.token›';
const redactor = new Redactor([snapshotOf({ token: TOKEN })]);
const redact = (value, enough) => redactValue(redactor, value, enough);

for (const [what, value, redacted] of [
  ['a string', TOKEN, LABEL],
  ['a list', [1, TOKEN, null], [1, LABEL, null]],
  ['an object', { a: { b: [TOKEN] }, c: 1 }, { a: { b: [LABEL] }, c: 1 }],
  ['a name of a property', { [TOKEN]: 1 }, { [LABEL]: 1 }],
  ['a map', new Map([[TOKEN, [TOKEN]]]), new Map([[LABEL, [LABEL]]])],
  ['a set', new Set([TOKEN, 1]), new Set([LABEL, 1])],
  ['a buffer', Buffer.from(`\xff${TOKEN}`, 'latin1'), Buffer.from(`\ufffd${LABEL}`)],
  ['bytes', new Uint8Array(Buffer.from(TOKEN)), new Uint8Array(Buffer.from(LABEL))],
  ['a part of a buffer', Buffer.from(`no ${TOKEN} no`).subarray(3, 3 + TOKEN.length), Buffer.from(LABEL)],
  ['an object without a prototype', Object.assign(Object.create(null), { a: TOKEN }), Object.assign(Object.create(null), { a: LABEL })],
  ['a property called __proto__', JSON.parse(`{"__proto__":"${TOKEN}","constructor":"${TOKEN}"}`), JSON.parse(`{"__proto__":"${LABEL}","constructor":"${LABEL}"}`)],
]) {
  test(`redacts ${what}, in a copy`, () => {
    const before = structuredClone(value);
    assert.deepEqual(redact(value), redacted);
    assert.deepEqual(structuredClone(value), before, 'the original is as it was');
  });
}

test('what holds no value is the very same', () => {
  for (const value of [{ a: [1, 'two', new Map([['three', new Set([4])]])] }, Buffer.from('bytes'), new Error('e'), new Date(), /x/, null, undefined, 5, 5n, Symbol('s'), () => 1, new Proxy({ a: TOKEN }, {})]) {
    assert.equal(redact(value), value);
  }
});

test('errors stay errors, with message, stack, cause and what they carry', () => {
  class Refused extends TypeError {}
  const error = Object.assign(new Refused(`refused: ${TOKEN}`, { cause: new Error(TOKEN) }), { code: 'E', detail: { TOKEN } });
  const copy = redact(error);
  assert.ok(copy instanceof Refused);
  assert.equal(String(copy), `TypeError: refused: ${LABEL}`);
  assert.match(copy.stack, /^TypeError: refused: ‹SECRETS\.token›\n/);
  assert.equal(copy.cause.message, LABEL);
  assert.deepEqual({ ...copy }, { code: 'E', detail: { TOKEN: LABEL } });
  assert.equal(error.message, `refused: ${TOKEN}`);
});

test('what a Function node made is of another realm, and redacted all the same', () => {
  const made = vm.runInNewContext('({ error: new Error(t), map: new Map([[t, t]]), bytes: new Uint8Array([...t].map((c) => c.charCodeAt(0))), o: { t } })', { t: TOKEN });
  const copy = redact(made);
  assert.equal(copy.error.message, LABEL);
  assert.equal(copy.map.get(LABEL), LABEL);
  assert.equal(Buffer.from(copy.bytes).toString(), LABEL);
  assert.equal(copy.o.t, LABEL);
});

test('circles stay circles, and what was one stays one', () => {
  const value = { a: [TOKEN], shared: { x: 1 } };
  Object.assign(value, { self: value, again: value.shared });
  value.a.push(value.a);
  const copy = redact(value);
  assert.equal(copy.self, copy);
  assert.equal(copy.a[1], copy.a);
  assert.equal(copy.again, copy.shared);
  assert.equal(copy.a[0], LABEL);
});

test('instances keep their class, and getters are not called', () => {
  class Card {
    constructor() { this.pin = TOKEN; }
    get length() { throw new Error('called'); }
  }
  let called = 0;
  const value = { card: new Card(), get other() { called += 1; return TOKEN; } };
  const copy = redact(value);
  assert.ok(copy.card instanceof Card);
  assert.equal(copy.card.pin, LABEL);
  assert.equal(called, 0);
});

test('what speaks for itself is shown by its own words, where they or its parts hold a value', () => {
  const url = new URL(`https://api.example.org/?key=${TOKEN}`);
  const spoken = { toJSON: () => ({ said: [TOKEN] }) };
  const hiding = { pin: TOKEN, toJSON: () => 'a card' };
  const broken = { pin: TOKEN, toJSON() { throw new Error(TOKEN); } };
  const looped = { toJSON: () => [looped, TOKEN] };
  const other = new URL('https://example.org');
  const copy = redact({ url, query: url.searchParams, spoken, hiding, broken, looped, other, date: new Date(0) });
  assert.equal(copy.url, `https://api.example.org/?key=${LABEL}`);
  assert.equal(copy.query, `key=${LABEL}`);
  assert.deepEqual(copy.spoken, { said: [LABEL] });
  assert.equal(copy.hiding, 'a card');
  assert.equal(copy.broken, WITHHELD);
  assert.equal(copy.looped[1], LABEL);
  assert.equal(copy.other, other);
  assert.deepEqual(copy.date, new Date(0));
  assert.equal(redact(other), other);
  const endless = () => ({ toJSON: () => ({ next: endless() }) });
  assert.throws(() => redact(endless()), RangeError);
});

test('a reader that cuts is not made to wait for what it does not show', () => {
  const list = [TOKEN, ...Array.from({ length: 5 }, () => 'x')];
  Object.defineProperty(list, 5, { get() { throw new Error('looked at'); } });
  const copy = redact(list, 3);
  assert.equal(copy.length, 6);
  assert.deepEqual(copy.slice(0, 3), [LABEL, 'x', 'x']);
  const huge = Buffer.alloc(50_000_000, 'x');
  huge.write(TOKEN, 990);
  const start = process.hrtime.bigint();
  assert.match(redact(huge, 1000).toString(), /^x{990}‹SECRETS\.token›x*…$/);
  assert.ok(process.hrtime.bigint() - start < 100_000_000n);
});

test('a very deep value does not end the process, in a list of any length either', () => {
  let deep = [];
  for (let i = 0; i < 200_000; i += 1) deep = [deep];
  assert.equal(redact(deep), deep);
  const long = Array.from({ length: 500_000 }, () => 'x');
  assert.equal(redact(long), long);
});
