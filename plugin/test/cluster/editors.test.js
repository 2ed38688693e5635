'use strict';

// What people see and do in the editors of both Node-REDs while the cluster lives: the operator, its API server and its
// stores are the real ones. What needs none of them is shown in ../browser.

const assert = require('node:assert/strict');
const { after, afterEach, before, describe, test } = require('node:test');

const { Browser } = require('../browser/editor');
const { Space, asked, figures, hands, kubectl, until } = require('./world');

/** @typedef {Awaited<ReturnType<Browser['open']>>} Editor */
/** @typedef {{4: Editor, 5: Editor}} Pair the editors of a space's two flow apps */

const RUNTIMES = /** @type {const} */ ([4, 5]);
const MODES = /** @type {const} */ (['full', 'modified-flows', 'modified-nodes', 'restart']);
const GITOPS = 'argocd-controller';

describe('in the editors of Node-RED 4.1 and 5.0', { concurrency: false }, () => {
  const newsroom = new Space('newsroom');
  const archive = new Space('archive');
  /** @type {Browser} */
  let browser;
  /** @type {Pair} */
  let editors;
  /** @type {Editor[]} */
  const open = [];

  /**
   * Opens the editor in the first pod of a flow app.
   * @param {Space} space
   * @param {4 | 5} runtime
   * @param {'editor' | 'viewer'} [as]
   */
  const opened = async (space, runtime, as = 'editor') => {
    const [{ ip }] = await space.pods(`red-${runtime}`);
    const editor = await browser.open({ url: `http://${ip}:1880` }, { as });
    open.push(editor);
    return editor.showTab();
  };
  /** @param {Space} space @param {'editor' | 'viewer'} [as] @returns {Promise<Pair>} */
  const both = async (space, as) => {
    const [four, five] = await Promise.all(RUNTIMES.map((runtime) => opened(space, runtime, as)));
    return { 4: four, 5: five };
  };
  /** @template T @param {Pair} pair @param {(editor: Editor, runtime: 4 | 5) => Promise<T>} what */
  const each = (pair, what) => Promise.all(RUNTIMES.map((runtime) => what(pair[runtime], runtime)));
  /** @param {Pair} pair @param {string | RegExp} text */
  const say = (pair, text) => each(pair, (editor) => editor.says(editor.sentence, text));
  const close = async (/** @type {Pair} */ pair) => {
    await each(pair, (editor) => editor.close());
    for (const editor of Object.values(pair)) open.splice(open.indexOf(editor), 1);
  };

  before(async () => {
    browser = await Browser.start();
    editors = await both(newsroom);
  });
  after(() => browser?.close());
  afterEach(() => {
    for (const editor of open) assert.deepEqual(editor.errors, []);
  });

  test('the sentence says how the cluster stands, and that it is well again', async () => {
    await say(editors, /^Up to date · version 1 · loaded \d+ (s|min) ago$/);
    await newsroom.patch('sss/secrets', { spec: { suspend: true } });
    await say(editors, 'Syncing is suspended; flows run on version 1');
    await newsroom.patch('sss/secrets', { spec: { suspend: false } });
    await say(editors, 'Up to date · version 1');

    await newsroom.kubectl('label', 'secret', 'secrets', 'spacesync.dev/sync-');
    await say(editors, /^Secrets not checked since \d\d:\d\d; flows run on version 1\. A Secret of that name exists and is not Spacesync's/);
    await newsroom.kubectl('annotate', 'secret', 'secrets', 'spacesync.dev/adopt=secrets');
    await say(editors, 'Up to date · version 1');

    await kubectl('patch', 'space', 'newsroom', '--type=merge', '--patch', '{"spec":{"namespaces":[]}}');
    await say(editors, /flows run on version 1\. This namespace belongs to no space; an admin adds it to one/);
    await kubectl('patch', 'space', 'newsroom', '--type=merge', '--patch', '{"spec":{"namespaces":["newsroom"]}}');
    await say(editors, 'Up to date · version 1');
  });

  test('a deploy in each mode ends in one request, which was handled', async () => {
    const count = () => asked('sync', (code) => code < 300);
    const first = await count();
    for (const [round, mode] of MODES.entries()) {
      for (const runtime of RUNTIMES) {
        const before = await newsroom.handled();
        await editors[runtime].deploy(mode);
        await until(`the save of ${mode} in ${runtime}`, async () => (await newsroom.handled()) !== before);
        assert.match(await newsroom.handled(), /^save\/\d+/);
        await until('its answer', async () => (await count()) > first + round * 2 + (runtime === 5 ? 1 : 0));
      }
    }
    assert.equal(await count() - first, MODES.length * RUNTIMES.length);
  });
});
