'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const SOURCE = path.join(__dirname, '..', '..', 'src');
const RESOURCES = path.join(SOURCE, '..', 'resources');
const LOCALES = path.join(SOURCE, 'locales');
// Beside the plugin's file and under its name: that is where Node-RED looks for them.
const FILE = 'secret-manager.json';
/** It has a catalog of its own. */
const NODE = 'legacy-node.html';

/**
 * @param {object} catalog
 * @returns {[string, string][]} by the name that the code uses
 */
function texts(catalog, prefix = '') {
  return Object.entries(catalog).flatMap(([name, text]) =>
    typeof text === 'string' ? [/** @type {[string, string]} */ ([prefix + name, text])] : texts(text, `${prefix}${name}.`));
}

const read = (/** @type {string} */ language, file = FILE) => new Map(texts(JSON.parse(fs.readFileSync(path.join(LOCALES, language, file), 'utf8'))));
const placeholders = (/** @type {string} */ text) => [...text.matchAll(/__\w+?__/g)].map(String).sort();
const english = read('en-US');

test('every language has every text, with the same places to fill in', () => {
  for (const language of fs.readdirSync(LOCALES)) {
    const other = read(language);
    assert.deepEqual([...other.keys()].sort(), [...english.keys()].sort(), language);
    for (const [name, text] of english) assert.deepEqual(placeholders(other.get(name) ?? ''), placeholders(text), `${language} ${name}`);
  }
});

test('every language has every text of the legacy node, and they are those that it names', () => {
  const node = read('en-US', 'legacy-node.json');
  for (const language of fs.readdirSync(LOCALES)) assert.deepEqual([...read(language, 'legacy-node.json').keys()].sort(), [...node.keys()].sort(), language);
  const code = fs.readFileSync(path.join(SOURCE, NODE), 'utf8');
  const intervals = [.../INTERVALS = \[(.*)\]/.exec(code)?.[1].matchAll(/'(\w+)'/g) ?? []].map((match) => `node.auto.${match[1]}`);
  const labels = [...code.matchAll(/data-i18n="([\w.]+)"|_\('([\w.]+)'\)/g)].map((match) => match[1] ?? match[2]);
  const said = [...code.matchAll(/\bsay\((?:inert \? '(\w+)' : )?'([\w.]+)'\)/g)].flatMap((match) => [match[1], match[2]]).filter(Boolean).map((name) => `node.${name}`);
  const settings = [...code.matchAll(/\bsetting\('(\w+)'\)/g)].map((match) => `node.help.${match[1]}`);
  assert.deepEqual([...new Set([...labels, ...said, ...settings, ...intervals])].sort(), [...node.keys()].sort());
});

/** @param {string} folder */
const codeOf = (folder) => fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(?:js|html)$/.test(name) && name !== NODE)
  .map((name) => fs.readFileSync(path.join(folder, name), 'utf8')).join('\n');

test('every text that the runtime half names is there, and none besides', () => {
  const code = codeOf(SOURCE);
  const direct = [...code.matchAll(/\b(?:say|info|warn|error)\('([\w.-]+)'/g)].map((match) => match[1]).filter((name) => name.includes('.'));
  for (const name of direct) assert.ok(english.has(name), name);
  for (const name of [...english.keys()].filter((one) => !/^(?:sidebar|reason)\./.test(one))) {
    // Named by a word: of a problem in the mount, of why something was refused.
    const word = /^(?:problem|refused)\.(.+)$/.exec(name)?.[1];
    const used = word === undefined ? direct.includes(name) : code.includes(`'${word}'`);
    assert.ok(used || code.includes(`'${name}'`), `${name} is of no use`);
  }
});

test('every text that the editor half names is there, and none besides', () => {
  const code = codeOf(RESOURCES);
  const named = [...code.matchAll(/\b(say|count)\('(sidebar\.[\w.-]+)'/g)].flatMap(([, how, name]) => (how === 'count' ? [`${name}.one`, `${name}.other`] : [name]));
  for (const name of named) assert.ok(english.has(name), name);
  const begun = [...code.matchAll(/`(sidebar\.(?:[\w-]+\.)*)\$\{/g)].map((match) => match[1]);
  const html = [...codeOf(SOURCE).matchAll(/\bsay\('([a-z]+)'\)/g)].map((match) => `sidebar.${match[1]}`);
  for (const name of [...english.keys()].filter((one) => one.startsWith('sidebar.') && !one.startsWith('sidebar.problem.'))) {
    const used = named.includes(name) || html.includes(name) || begun.some((start) => start !== 'sidebar.' && name.startsWith(start))
      || /^sidebar\.(?:sync|settings)\.error$/.test(name) || code.includes(`'${name}'`);
    assert.ok(used, `${name} is of no use`);
  }
});

test('every reason of the operator has a text, and every word of its API and of the runtime', () => {
  const docs = path.join(SOURCE, '..', '..', 'docs', 'reference');
  const reasons = [...fs.readFileSync(path.join(docs, 'reasons.md'), 'utf8').matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]);
  assert.ok(reasons.length > 50);
  const groupOf = (/** @type {string} */ group) => [...english.keys()].filter((name) => name.startsWith(group)).map((name) => name.slice(group.length));
  assert.deepEqual(groupOf('reason.').sort(), [...reasons].sort());

  const api = fs.readFileSync(path.join(docs, 'pods-api.yaml'), 'utf8');
  const words = [.../^ {4}What:\n[^]*?enum:\n((?: {6}- \w+\n)+)/m.exec(api)?.[1].matchAll(/\w+/g) ?? []].map(String);
  assert.ok(words.includes('FieldOwned'));
  const known = new Set([...reasons, ...groupOf('sidebar.problem.')]);
  for (const word of [...words, ...groupOf('refused.')]) assert.ok(known.has(word), word);
});
