'use strict';

// What people are told while they look elsewhere, and how they come back by the keyboard.

const assert = require('node:assert/strict');
const { after, afterEach, before, describe, test } = require('node:test');

const { NO_BROWSER } = require('./editor');
const { Stage, VALUES } = require('./stage');

for (const runtime of /** @type {const} */ ([4, 5])) {
  describe(`Node-RED ${runtime}`, { concurrency: false, skip: NO_BROWSER }, () => {
    /** @type {Stage} */
    let stage;
    /** @type {Awaited<ReturnType<import('./editor').Browser['open']>>} */
    let editor;
    before(async () => { stage = await Stage.set(runtime); });
    after(() => stage.clear());
    afterEach(async () => {
      await editor.close();
      assert.deepEqual(editor.errors, []);
      await stage.operator.down();
      await stage.operator.up();
      stage.operator.reset();
      stage.deliver(stage.version + 1);
    });

    const opened = async (/** @type {import('./editor').How} */ how = {}) => {
      editor = await stage.browser.open(stage.red, how);
      await editor.showTab();
      await editor.says(editor.sentence, how.as === 'visitor' ? 'may not look' : 'Up to date');
    };
    const dotted = () => editor.page.locator('.secret-manager-news >> visible=true').first();
    const another = async () => {
      await editor.page.evaluate(() => /** @type {any} */ (globalThis).RED.sidebar.show('context'));
      await editor.tab.waitFor({ state: 'hidden' });
    };
    const focus = () => editor.page.evaluate(() => document.activeElement?.id);

    test('a change is told by a dot and a word, and takes no focus', async () => {
      await opened();
      await another();
      const before = await focus();
      stage.deliver(stage.version + 1, { ...VALUES, brand_new: 'the-value-of-the-new-one' });
      await dotted().waitFor();
      assert.equal(await editor.page.locator('body > [role=status]').filter({ hasText: 'Secret Manager' }).innerText(), 'Secret Manager: New: brand_new');
      // Node-RED 4 has ours among those that do not fit, behind a menu.
      if (runtime === 5) assert.equal(await dotted().getAttribute('aria-label'), 'Secret Manager: New: brand_new');
      assert.notEqual(await dotted().evaluate((one) => getComputedStyle(one, '::after').content), 'none');
      assert.equal(await focus(), before);
      assert.equal(await editor.page.locator('.red-ui-notification >> visible=true').count(), 0);

      await editor.showTab();
      await editor.page.locator('.secret-manager-news').first().waitFor({ state: 'detached' });
      await editor.says(editor.key('brand_new'), 'new');
      await another();
      assert.equal(await editor.page.locator('.secret-manager-news').count(), 0, 'what was seen is no news');
    });

    test('so is a failure, until it is mended', async () => {
      await opened();
      await another();
      await stage.operator.down();
      await editor.page.locator('.secret-manager-news-bad >> visible=true').first().waitFor();
      assert.match(await editor.page.locator('body > [role=status]').filter({ hasText: 'Secret Manager' }).innerText(), /^Secret Manager: Secrets not checked since/);
      await stage.operator.up();
      await editor.page.locator('.secret-manager-news').first().waitFor({ state: 'detached' });
    });

    test('where the tab has no button to be seen, a notification comes and takes no focus', async () => {
      await opened();
      await another();
      await editor.page.addStyleTag({ content: '[data-tab-id="secret-manager"], #red-ui-tab-secret-manager, #red-ui-tab-secret-manager-link-button, .red-ui-tab-link-button-menu { display: none !important; }' });
      const before = await focus();
      stage.deliver(stage.version + 1, { ...VALUES, 'my-token': 'another-value-of-my-token' });
      await editor.page.locator('.red-ui-notification', { hasText: 'Secret Manager: Changed: my-token' }).waitFor();
      assert.equal(await focus(), before);
    });

    test('who may not look is told so, and asks for nothing', async () => {
      await opened({ as: 'visitor' });
      await editor.says(editor.sentence, 'You may not look here: that takes the permission secret-manager.read');
      assert.equal(await editor.keys.locator('code').count(), 0);
      assert.ok(!editor.received.join().includes('my_api_token'));
      const { status } = await stage.red.request('/secret-manager/keys', { as: 'visitor' });
      assert.ok(status === 401 || status === 403, `${status}`);
    });

    test('the actions stand in the action list, and take a shortcut', async () => {
      await opened();
      await another();
      await editor.act('core:show-action-list');
      await editor.page.keyboard.type('secret');
      for (const name of ['Search secrets', 'Show Secret Manager', 'Sync secrets now']) await editor.page.locator('.red-ui-search-result-action', { hasText: name }).waitFor();
      await editor.page.keyboard.type('s now');
      await editor.page.keyboard.press('Enter');
      await editor.says(editor.tab, 'Already the newest');
      await editor.page.evaluate(() => /** @type {any} */ (globalThis).RED.keyboard.add('*', 'ctrl-shift-9', 'secret-manager:search'));
      await another();
      await editor.page.keyboard.press('Control+Shift+9');
      await editor.page.waitForFunction(() => document.activeElement?.matches('.secret-manager-search'));
    });

    test('2,000 keys are listed, found and gone through', async () => {
      await opened();
      stage.deliver(stage.version + 1, Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`PRODUCT_${at}_API_TOKEN`, `the value ${at}`])));
      await editor.says(editor.tab, '2001 keys');
      await editor.says(editor.tab, /New: PRODUCT_0_API_TOKEN, .* and 1995 more · Removed: /);
      await editor.act('secret-manager:search');
      await editor.page.keyboard.type('_1999');
      await editor.says(editor.tab, '1 of 2001 keys');
      await editor.page.keyboard.press('Escape');
      await editor.page.keyboard.press('ArrowDown');
      await editor.page.keyboard.press('End');
      assert.match(await editor.page.evaluate(() => document.activeElement?.textContent ?? ''), /^account/);
    });
  });
}

for (const runtime of /** @type {const} */ ([4, 5])) {
  test(`Node-RED ${runtime}: an editor that is open gets the tab when the plugin is installed`, { skip: NO_BROWSER }, async () => {
    const stage = await Stage.set(runtime, { plugin: 'none' });
    try {
      const editor = await stage.browser.open(stage.red, {}, 'body');
      await stage.red.install();
      await editor.tab.locator('h3', { hasText: 'Secrets' }).waitFor({ state: 'attached' });
      await editor.showTab();
      await editor.says(editor.sentence, `version ${stage.version}`);
      await editor.key('my_api_token').waitFor();
      stage.deliver(stage.version + 1, { ...VALUES, brand_new: 'the-value-of-the-new-one' });
      await editor.key('brand_new').waitFor();
      assert.doesNotMatch(await editor.tab.innerText(), /sidebar\./);
      assert.deepEqual(editor.errors, []);
    } finally {
      await stage.clear();
    }
  });
}
