'use strict';

// What redaction costs, and what a plain regular expression costs: `node bench/redaction.js`.

const crypto = require('node:crypto');
const { performance } = require('node:perf_hooks');
const { util } = require('@node-red/util');
const { guardDebugSidebar } = require('../src/redaction/debug-sidebar');
const { formsOf } = require('../src/redaction/forms');
const { leavesOf } = require('../src/redaction/leaves');
const { Redactor } = require('../src/redaction/redactor');

/** @param {number} count @param {number} length of each value */
function space(count, length) {
  const values = new Map(Array.from({ length: count }, (_, i) => [`key_${i}`, crypto.randomBytes(length).toString('base64').slice(0, length)]));
  return { keys: [...values.keys()].map((name) => ({ name })), value: (/** @type {string} */ name) => values.get(name) };
}

/** 1 kB of what flows send. @param {unknown[]} planted */
function rows(planted) {
  return [...planted, ...Array.from({ length: 9 - planted.length }, (_, id) => ({ id, title: 'Evening news, second half', url: `https://cdn.example.org/a/${id * 7919}`, duration: 1800, ok: true }))];
}

/** Milliseconds, the best of seven rounds: others may use the machine. @param {() => unknown} what @param {number} times */
function time(what, times) {
  const rounds = Array.from({ length: 7 }, () => {
    const start = performance.now();
    for (let i = 0; i < times; i += 1) what();
    return (performance.now() - start) / times;
  });
  return Math.min(...rounds);
}

/** @param {string} what @param {number} ms */
function print(what, ms) {
  console.log(`${what.padEnd(72)} ${ms.toFixed(4).padStart(9)} ms`);
}

/** @param {string[]} texts */
function regexOf(texts) {
  return new RegExp(texts.map((text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|'), 'g');
}

const secrets = space(2000, 40);
const redactor = new Redactor([secrets]);
const leaves = leavesOf([secrets]);
const raw = regexOf(leaves.map(({ text }) => text));
const all = regexOf(leaves.flatMap(formsOf));
const values = leaves.slice(0, 3).map(({ text }) => text);
const [clean, hot] = [[], values].map((planted) => JSON.stringify(rows(planted)));
const nested = JSON.stringify({ text: hot });

console.log(`2,000 values of 40 characters (${redactor.size} patterns), ${clean.length} characters of JSON`);
print('redacted, no value in it', time(() => redactor.redact(clean), 1000));
print('redacted, three values in it', time(() => redactor.redact(hot), 1000));
print(`redacted, three values in JSON inside JSON (${nested.length} characters)`, time(() => redactor.redact(nested), 1000));
print('regular expression of the raw values, no value in it', time(() => clean.replace(raw, '*'), 50));
print('regular expression of the same patterns, no value in it', time(() => clean.replace(all, '*'), 20));

const guarded = { util: { ...util } };
guardDebugSidebar(guarded, { redactor });
for (const [what, payload] of [['no value', rows([])], ['three values', rows(values)]]) {
  const message = () => ({ id: 'n', msg: { payload, topic: 'news' } });
  print(`a debug message of it as Node-RED encodes it, ${what}`, time(() => util.encodeObject(message(), { maxLength: 1000 }), 500));
  print(`the same, redacted before the cut and after, ${what}`, time(() => guarded.util.encodeObject(message(), { maxLength: 1000 }), 500));
}

for (const [count, length] of [[20, 40], [2000, 40], [2000, 524], [20, 52_428]]) {
  const source = space(count, length);
  const ms = time(() => new Redactor([source]), 1);
  const { size } = new Redactor([source]);
  print(`building: ${count} values, ${Math.round((count * length) / 1024)} KiB in all, ${size} patterns`, ms);
}
