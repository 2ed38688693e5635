'use strict';

// Keys are offered wherever somebody writes a reference into a code editor.

const assert = require('node:assert/strict');
const { after, afterEach, before, describe, test } = require('node:test');

const { NO_BROWSER } = require('./editor');
const { Stage } = require('./stage');

const FLOWS = [
  { id: 'flow', type: 'tab', label: 'Flow' },
  { id: 'code', type: 'function', z: 'flow', x: 240, y: 100, wires: [[]], func: '' },
  { id: 'expression', type: 'change', z: 'flow', x: 240, y: 160, wires: [[]], rules: [{ t: 'set', p: 'payload', pt: 'msg', to: '', tot: 'jsonata' }] },
  ...['handlebars', 'json', 'sql', 'text'].map((format, at) => (
    { id: format, type: 'template', z: 'flow', x: 240, y: 220 + 60 * at, wires: [[]], field: 'payload', format, syntax: 'mustache', template: '' })),
];

/** The node, what is typed, the key that is picked, what stands there then. @type {[string, string, string, string][]} */
const TABLE = [
  ['code', 'global.SECRETS.my', 'my_api_token', 'global.SECRETS.my_api_token'],
  ['code', 'global.get("SECRETS.a', 'a.b', 'global.get("SECRETS[\'a.b\']"'],
  ['expression', '$globalContext("SECRETS.my', 'my-token', '$globalContext("SECRETS.my-token"'],
  ['expression', '$globalContext("SECRETS.a', 'a.b', '$globalContext("SECRETS[\'a.b\']"'],
  ['handlebars', '{{{global.SECRETS.my', 'my-token', '{{{global.SECRETS.my-token'],
  ['handlebars', '{{{global.SECRETS.a', 'a.b', '{{{global.SECRETS["a.b"]'],
  ['json', '{{{global.SECRETS.my', 'my_api_token', '{{{global.SECRETS.my_api_token'],
  ['sql', '{{{global.SECRETS.my', 'my_api_token', '{{{global.SECRETS.my_api_token'],
  ['text', '{{{global.SECRETS.my', 'my_api_token', '{{{global.SECRETS.my_api_token'],
];

for (const runtime of /** @type {const} */ ([4, 5])) {
  describe(`Node-RED ${runtime}`, { concurrency: false, skip: NO_BROWSER }, () => {
    /** @type {Stage} */
    let stage;
    /** @type {Awaited<ReturnType<import('./editor').Browser['open']>>} */
    let editor;
    before(async () => {
      stage = await Stage.set(runtime, { flows: FLOWS });
      editor = await stage.browser.open(stage.red);
      await editor.showTab();
      await editor.key('my_api_token').waitFor();
    });
    after(() => stage.clear());
    afterEach(async () => {
      // The expression first, then the node that it is of.
      for (const inner of ['.red-ui-tray:has-text("Function reference")', '.red-ui-tray']) {
        const tray = editor.page.locator(inner).first();
        if (await tray.count() === 0) continue;
        await tray.locator('button', { hasText: 'Cancel' }).click();
        await tray.waitFor({ state: 'detached' });
      }
      assert.deepEqual(editor.errors, []);
    });

    for (const [node, typed, key, expected] of TABLE) {
      test(`${node}: ${typed}`, async () => {
        const { page } = editor;
        await page.evaluate((id) => { const { RED } = /** @type {any} */ (globalThis); RED.editor.edit(RED.nodes.node(id)); }, node);
        await page.waitForFunction(() => document.activeElement?.closest('.red-ui-tray') != null);
        if (node === 'expression') {
          await page.locator('.red-ui-tray .red-ui-typedInput-option-expand >> visible=true').last().click();
          await page.locator('.red-ui-tray').last().getByText('Function reference').waitFor();
        }
        const code = page.locator('.red-ui-tray').last().locator('.monaco-editor >> visible=true').first();
        await code.click();
        await page.keyboard.type(typed);
        await page.locator('.suggest-widget .monaco-list-row', { hasText: key }).click();
        const models = await page.evaluate(() => /** @type {any} */ (globalThis).monaco.editor.getModels().map((/** @type {any} */ model) => model.getValue()));
        assert.ok(models.some((/** @type {string} */ text) => text.replace(/["')}]*$/, '') === expected.replace(/["')}]*$/, '')), models.join('\n'));
      });
    }
  });
}
