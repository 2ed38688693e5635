'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { load, textIn } = require('./catalog');

const WELL = { text: 'Up to date', tone: 'good' };
const FAILED = { text: 'Secrets not checked since 14:02', tone: 'attention' };
const changed = (/** @type {string[]} */ ...names) => new Map(names.map((name) => [name, 'changed']));

/** @param {...[string, any]} steps `see` or `since`, and what the tab shows then */
async function told(...steps) {
  const { News } = await load('news.js');
  const text = await textIn();
  const news = new News();
  return steps.map(([what, shown]) => (what === 'see' ? news.see(shown) : news.since(shown, text))).at(-1);
}

test('what was seen is no news, what came since is', async () => {
  const marks = changed('a');
  assert.equal(await told(['since', { marks: new Map(), said: WELL }]), null);
  assert.deepEqual(await told(['since', { marks, said: WELL }]), { text: 'Changed: a', bad: false });
  assert.equal(await told(['see', { marks, said: WELL }], ['since', { marks, said: WELL }]), null);
  assert.deepEqual(await told(['see', { marks, said: WELL }], ['since', { marks: changed('a', 'b'), said: WELL }]), { text: 'Changed: a, b', bad: false });
});

test('a failure is news once it comes, and again after it was mended', async () => {
  const [well, failed] = [WELL, FAILED].map((said) => ({ marks: new Map(), said }));
  assert.deepEqual(await told(['see', well], ['since', failed]), { text: FAILED.text, bad: true });
  assert.equal(await told(['see', failed], ['since', failed]), null);
  assert.equal(await told(['since', failed], ['since', well]), null);
  assert.deepEqual(await told(['see', failed], ['since', well], ['since', failed]), { text: FAILED.text, bad: true });
  assert.equal(await told(['since', { marks: new Map(), said: { text: 'Syncing is suspended', tone: 'idle' } }]), null);
});

test('many names are counted', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  assert.deepEqual(await told(['since', { marks: changed(...names), said: FAILED }]),
    { text: 'Secrets not checked since 14:02. Changed: a, b, c, d, e and 2 more', bad: true });
});
