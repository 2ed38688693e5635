'use strict';

// What redaction costs: `node bench/redaction.js`. A 1 kB message against 2,000 values, beside one regular expression of the same patterns,
// and what it takes to build a redactor at a swap.

const { performance } = require('node:perf_hooks');
const crypto = require('node:crypto');
const { Redactor } = require('../src/redaction/redactor');
const { leavesOf } = require('../src/redaction/leaves');
const { formsOf } = require('../src/redaction/forms');

/** @param {number} count @param {number} bytes of each value */
function tokens(count, bytes) {
  const values = new Map();
  for (let i = 0; i < count; i += 1) values.set(`key_${i}`, crypto.randomBytes(bytes).toString('base64').slice(0, bytes));
  return { keys: [...values.keys()].map((name) => ({ name })), value: (/** @type {string} */ name) => values.get(name) };
}

/** 1 kB of what flows send. @param {string[]} values to plant */
function message(values) {
  const rows = [];
  while (JSON.stringify(rows).length < 1000 - values.join('').length) {
    rows.push({ id: rows.length, title: 'Evening news, second half', url: `https://cdn.example.org/a/${crypto.randomUUID()}`, ok: true });
  }
  return JSON.stringify([...rows, ...values]).slice(0, 1024);
}

/** Milliseconds, the median of five rounds. @param {() => unknown} what @param {number} times */
function time(what, times) {
  const rounds = [];
  for (let round = 0; round < 5; round += 1) {
    const start = performance.now();
    for (let i = 0; i < times; i += 1) what();
    rounds.push((performance.now() - start) / times);
  }
  return rounds.sort((a, b) => a - b)[2];
}

/** @param {string} what @param {number} ms */
function print(what, ms) {
  console.log(`${what.padEnd(66)} ${ms.toFixed(4).padStart(10)} ms`);
}

const snapshot = tokens(2000, 40);
const redactor = new Redactor([snapshot]);
const forms = leavesOf([snapshot]).flatMap(formsOf).sort((a, b) => b.length - a.length);
const regex = new RegExp(forms.map((form) => form.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|'), 'g');
const rawOnly = new RegExp(snapshot.keys.map(({ name }) => String(snapshot.value(name)).replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|'), 'g');
const values = snapshot.keys.slice(0, 3).map(({ name }) => String(snapshot.value(name)));
const clean = message([]);
const hot = message(values);

console.log(`${redactor.size} forms of 2000 values, a message of ${clean.length} characters`);
print('redactor, nothing in it', time(() => redactor.redact(clean), 2000));
print('redactor, three values in it', time(() => redactor.redact(hot), 2000));
print('one regular expression, nothing in it', time(() => clean.replace(regex, '*'), 5));
print('one regular expression of the raw values only', time(() => {
  clean.replace(rawOnly, '*');
}, 100));
for (const [count, bytes] of [[20, 40], [2000, 40], [2000, 524], [20, 52428]]) {
  const source = tokens(count, bytes);
  const before = process.memoryUsage();
  const ms = time(() => new Redactor([source]), 3);
  global.gc?.();
  print(`building for ${count} values of ${bytes} bytes (${(count * bytes / 1024).toFixed(0)} KiB)`, ms);
}
