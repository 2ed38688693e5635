'use strict';

// Random spaces and messages, the same in every run: whatever is planted, nothing of it is left, and what was not planted stays.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const util = require('node:util');
const { formsOf } = require('../../../src/redaction/forms');
const { leavesOf } = require('../../../src/redaction/leaves');
const { Redactor } = require('../../../src/redaction/redactor');
const { dice, snapshotOf } = require('./snapshots');

// Two letters, so that values overlap, contain and begin with one another all the time; and all that anything escapes.
const ALPHABETS = [[...'ab'], [...'abcdefghijklmnopqrstuvwxyz0123456789'], [...'a/+="\'<\\\n ü🔑%`&'], ['\n', ...'abc-']];

const PLAIN = [ALPHABETS[0], ALPHABETS[1], ALPHABETS[3]];

/** @param {ReturnType<typeof dice>} roll */
function randomSpace(roll, alphabets = ALPHABETS) {
  const values = {};
  const texts = Array.from({ length: 1 + roll.below(12) }, () => roll.text(roll.pick(alphabets), 8 + roll.below(30)));
  // Some contain, begin or end with others.
  if (texts.length > 2) texts.push(texts[0] + texts[1], texts[1].slice(0, 9), `${texts[2].slice(-6)}${texts[0]}`);
  texts.forEach((text, i) => {
    values[`k${i}`] = i % 3 === 0 ? { a: [1, { b: text }], c: true } : text;
  });
  return snapshotOf(values);
}

test('every form of every value, wherever it stands, is replaced by the name of a key that holds it', () => {
  const roll = dice(4);
  for (let round = 0; round < 200; round += 1) {
    const space = randomSpace(roll);
    const redactor = new Redactor([space]);
    for (const leaf of leavesOf([space])) {
      for (const form of formsOf(leaf)) {
        const redacted = redactor.redact(`«${form}»`);
        assert.match(redacted, /^«(‹SECRETS\.k\d+›)+»$/, `round ${round}, ${leaf.key}: ${JSON.stringify(form)} became ${redacted}`);
      }
    }
  }
});

test('what is left between the labels is what no pattern covers, compared with looking at every place for every pattern', () => {
  const roll = dice(5);
  for (let round = 0; round < 300; round += 1) {
    const space = randomSpace(roll, PLAIN);
    const redactor = new Redactor([space]);
    const patterns = leavesOf([space]).flatMap(formsOf);
    const text = Array.from({ length: 12 }, () => (roll.below(2) === 0 ? roll.pick(patterns) : roll.text(roll.pick(PLAIN), roll.below(12)))).join('');
    const covered = new Uint8Array(text.length);
    for (const pattern of patterns) {
      for (let at = text.indexOf(pattern); at !== -1; at = text.indexOf(pattern, at + 1)) covered.fill(1, at, at + pattern.length);
    }
    const expected = [...text.split('').keys()].filter((i) => covered[i] === 0).map((i) => text[i]).join('');
    const redacted = redactor.redact(text);
    assert.equal(redacted.replace(/‹SECRETS\.k\d+›/g, ''), expected, `round ${round}: ${JSON.stringify(text)} became ${redacted}`);
  }
});

const ESCAPES = {
  json: (text) => JSON.stringify(text).slice(1, -1),
  inspect: (text) => util.inspect(text, { breakLength: Infinity }).slice(1, -1),
  html: (text) => text.replace(/[&<>"'/`=]/g, (c) => `&#x${c.charCodeAt(0).toString(16)};`),
  entities: (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;'),
  percent: encodeURIComponent,
  lower: (text) => encodeURIComponent(text).replace(/%../g, (escape) => escape.toLowerCase()),
};

test('escaped again and again, in any order, it is found as long as anything escapes', () => {
  const roll = dice(8);
  for (let round = 0; round < 2000; round += 1) {
    // Not at the ends: an escape there belongs to the text around as well.
    const value = `a${roll.text(ALPHABETS[2].slice(0, -1), 10 + roll.below(20))}z`;
    const redactor = new Redactor([snapshotOf({ value })]);
    const chain = Array.from({ length: roll.below(5) }, () => roll.pick(Object.keys(ESCAPES)));
    const written = chain.reduce((text, escape) => ESCAPES[escape](text), value);
    assert.equal(redactor.redact(`«${written}»`), '«‹SECRETS.value›»', `${chain.join(', ')} of ${JSON.stringify(value)}: ${written}`);
  }
});

test('a value cut anywhere behind its eighth character leaves nothing either', () => {
  const roll = dice(6);
  for (let round = 0; round < 200; round += 1) {
    const value = roll.text(ALPHABETS[1], 9 + roll.below(60));
    const redactor = new Redactor([snapshotOf({ value, other: roll.text(ALPHABETS[1], 20) })]);
    const kept = 8 + roll.below(value.length - 8);
    assert.equal(redactor.redact(`see ${value.slice(0, kept)}...`), 'see ‹SECRETS.value›...');
  }
});

test('texts without a value stay as they are', () => {
  const roll = dice(7);
  for (let round = 0; round < 200; round += 1) {
    const redactor = new Redactor([snapshotOf(Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, roll.text(ALPHABETS[1], 12)])))]);
    const text = roll.text([...ALPHABETS[1], ' ', '.'], 2000);
    assert.equal(redactor.redact(text), text);
  }
});
