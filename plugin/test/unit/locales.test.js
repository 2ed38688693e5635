'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const SOURCE = path.join(__dirname, '..', '..', 'src');
const LOCALES = path.join(SOURCE, 'locales');
// Beside the plugin's file and under its name: that is where Node-RED looks for them.
const FILE = 'secret-manager.json';

/**
 * @param {object} catalog
 * @returns {[string, string][]} by the name that the code uses
 */
function texts(catalog, prefix = '') {
  return Object.entries(catalog).flatMap(([name, text]) =>
    typeof text === 'string' ? [/** @type {[string, string]} */ ([prefix + name, text])] : texts(text, `${prefix}${name}.`));
}

const read = (/** @type {string} */ language) => new Map(texts(JSON.parse(fs.readFileSync(path.join(LOCALES, language, FILE), 'utf8'))));
const placeholders = (/** @type {string} */ text) => [...text.matchAll(/__\w+?__/g)].map(String).sort();
const english = read('en-US');

test('every language has every text, with the same places to fill in', () => {
  for (const language of fs.readdirSync(LOCALES)) {
    const other = read(language);
    assert.deepEqual([...other.keys()].sort(), [...english.keys()].sort(), language);
    for (const [name, text] of english) assert.deepEqual(placeholders(other.get(name) ?? ''), placeholders(text), `${language} ${name}`);
  }
});

test('every text that the code names is there, and none besides', () => {
  const code = fs.readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))
    .map((name) => fs.readFileSync(path.join(SOURCE, name), 'utf8')).join('\n');
  const direct = [...code.matchAll(/\b(?:say|info|warn|error)\('([\w.-]+)'/g)].map((match) => match[1]);
  for (const name of direct) assert.ok(english.has(name), name);
  for (const name of english.keys()) {
    // Named by a word: of a problem in the mount, of why something was refused.
    const word = /^(?:problem|refused)\.(.+)$/.exec(name)?.[1];
    const used = word === undefined ? direct.includes(name) : code.includes(`'${word}'`);
    assert.ok(used || code.includes(`'${name}'`), `${name} is of no use`);
  }
});
