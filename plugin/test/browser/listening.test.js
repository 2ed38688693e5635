'use strict';

// The tab as those have it who listen, use the keyboard, a coarse pointer, calm or colours of their own.

const assert = require('node:assert/strict');
const { after, afterEach, before, describe, test } = require('node:test');

const { NO_BROWSER } = require('./editor');
const { Stage, VALUES } = require('./stage');

/** What a screen reader makes of the tab. */
const TREE = `
- region "Status":
  - heading "Status" [level=3]
  - button "Sync now"
  - paragraph:
    - status: Up to date · version N
    - text: · loaded N s ago
  - paragraph
  - status
  - status
  - text: Sync on Save
  - switch "Sync on Save" [checked]
  - text: Auto Sync
  - combobox "Auto Sync":
    - option "Live" [selected]
    - option "Every minute"
    - option "Every 30 minutes"
    - option "Every 60 minutes"
    - option "Every 12 hours"
    - option "Every 24 hours"
    - option "Manual"
  - status
  - term: Checked
  - definition: N s ago
  - term: Updated
  - definition: N min ago
  - term: Issued
  - definition: N s ago
  - term: Pods
  - definition: N of N other pods loaded
- region "Secrets":
  - heading "Secrets" [level=3]
  - status: N keys
  - searchbox "Search keys"
  - status
  - status
  - group: N key is used here but missing in this space
  - paragraph
  - grid "Keys of the secrets":
`;
const ROW = `
    - row "my_api_token, text, value masked, used by N nodes":
      - rowheader "my_api_token":
        - code: my_api_token
      - gridcell "text, value masked":
        - text: text
        - button "Copy for a Function node: global.SECRETS.my_api_token": ƒ
        - button "Copy for a global. typed input: SECRETS.my_api_token": global.
        - button "Copy for a template: {{{global.SECRETS.my_api_token}}}": "{{{ }}}"
        - button "Copy for JSONata: $globalContext(\\"SECRETS.my_api_token\\")": "J:"
      - gridcell "used by N nodes":
        - button "used by N nodes"
`;

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
      stage.operator.reset();
      stage.deliver(stage.version + 1);
    });
    const opened = async () => {
      editor = await stage.browser.open(stage.red);
      await editor.showTab();
      await editor.says(editor.sentence, /Up to date.* s ago/);
      await editor.key('my_api_token').getByText('used by 2 nodes').waitFor();
    };

    test('the tree of roles and names', async () => {
      await opened();
      // YAML puts quotes around what has a colon in it.
      const heard = (await editor.tab.ariaSnapshot()).replace(/^( *- )'(.*)'(:.*)$/gm, '$1$2$3').replace(/\b\d+(?= (?:s|min|key|keys|of|other|nodes?)\b)|(?<=version |of )\d+/g, 'N');
      assert.ok(heard.startsWith(TREE.trim()), heard);
      assert.ok(heard.includes(ROW.trimEnd()), heard);
    });

    test('what is read aloud, and nothing as time passes', async () => {
      await opened();
      await editor.page.evaluate(() => {
        /** @type {any} */ (globalThis).aloud = [];
        for (const region of document.querySelectorAll('.secret-manager [role=status]')) {
          new MutationObserver(() => {
            // What is not in the tree is not read.
            if (region.textContent && region.getClientRects().length > 0) /** @type {any} */ (globalThis).aloud.push(region.textContent);
          }).observe(region, { childList: true, characterData: true, subtree: true });
        }
      });
      const aloud = () => editor.page.evaluate(() => /** @type {any} */ (globalThis).aloud.splice(0));
      const passed = (/** @type {string} */ was) => editor.page.waitForFunction((text) => document.querySelector('.secret-manager-sentence')?.textContent !== text, was);
      for (let seconds = 0; seconds < 2; seconds += 1) await passed(await editor.sentence.innerText().then((text) => text.replace(/\n/g, '')));
      assert.deepEqual(await aloud(), []);

      const version = stage.version + 1;
      stage.deliver(version, { ...VALUES, brand_new: 'the-value-of-the-new-one' });
      await editor.key('brand_new').waitFor();
      await editor.says(editor.sentence, `Up to date · version ${version}`);
      const told = await aloud();
      for (const text of ['New: brand_new', `Up to date · version ${version}`, '5 keys']) assert.ok(told.includes(text), told.join(' | '));

      stage.operator.answers['POST /v1/sync'] = () => ({ status: 200, body: stage.operator.done() });
      await editor.tab.getByRole('button', { name: 'Sync now' }).press('Enter');
      await editor.says(editor.tab, 'Already the newest');
      await editor.heard('"step":"done"');
      const ended = await aloud();
      assert.match(ended.at(-1), /^Already the newest, checked /);
      assert.ok(ended.slice(0, -1).every((/** @type {string} */ text) => /^(?:Asking|Checking the Secret Manager) …$/.test(text)), ended.join(' | '));

      await editor.key('my_api_token').hover();
      await editor.key('my_api_token').getByRole('button', { name: /typed input/ }).click();
      await editor.says(editor.tab, 'Copied SECRETS.my_api_token');
      await editor.tab.getByRole('searchbox').fill('token');
      await editor.says(editor.tab, '2 of 5 keys');
      assert.deepEqual(await aloud(), ['Copied SECRETS.my_api_token', '2 of 5 keys']);

      await editor.tab.getByRole('button', { name: 'Seen' }).press('Enter');
      assert.ok(await editor.page.evaluate(() => document.activeElement?.matches('.secret-manager-search')), 'the focus is somewhere');
    });

    test('by the keyboard the focus is to be seen at each stop, and each is large enough for a finger', async () => {
      await opened();
      stage.deliver(stage.version + 1, { ...VALUES, brand_new: 'the-value-of-the-new-one' });
      await editor.says(editor.tab, 'New: brand_new');
      await editor.tab.getByRole('button', { name: 'Sync now' }).focus();
      const stops = [];
      for (;;) {
        const stop = await editor.page.evaluate(() => {
          const at = /** @type {HTMLElement} */ (document.activeElement);
          if (at.closest('.secret-manager') === null) return null;
          const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at);
          const { width, height } = at.getBoundingClientRect();
          return { what: at.id || at.className || at.tagName, seen: (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || boxShadow !== 'none', width, height };
        });
        if (stop === null) break;
        stops.push(stop);
        await editor.page.keyboard.press('Tab');
      }
      assert.equal(stops.length, 7, 'Sync now, Sync on Save, Auto Sync, search, Seen, what is missing, the list');
      assert.deepEqual(stops.filter(({ seen }) => !seen), []);
      await editor.key('my_api_token').hover();
      const small = await editor.tab.locator('button, input, select, summary').evaluateAll((all) => all
        .filter((one) => one.getClientRects().length > 0).map((one) => ({ html: one.outerHTML.slice(0, 80), box: one.getBoundingClientRect() }))
        .filter(({ box }) => box.width < 24 || box.height < 24).map(({ html, box }) => `${html} ${box.width}x${box.height}`));
      assert.deepEqual(small, []);
    });

    test('calm where that is asked for, and legible in colours of the system', async () => {
      await opened();
      /** @type {(answer: any) => void} */
      let answer = () => {};
      stage.operator.answers['POST /v1/sync'] = () => new Promise((resolve) => { answer = resolve; });
      await editor.tab.getByRole('button', { name: 'Sync now' }).click();
      await editor.says(editor.tab, 'Checking the Secret Manager');
      const animation = () => editor.tab.locator('.fa-spin').evaluate((one) => getComputedStyle(one).animationName);
      assert.notEqual(await animation(), 'none');
      await editor.page.emulateMedia({ reducedMotion: 'reduce' });
      assert.equal(await animation(), 'none');
      answer({ status: 200, body: stage.operator.done() });

      await editor.page.emulateMedia({ forcedColors: 'active' });
      stage.deliver(stage.version + 1, { ...VALUES, brand_new: 'the-value-of-the-new-one' });
      await editor.says(editor.key('brand_new'), 'new');
      assert.equal(await editor.key('brand_new').evaluate((one) => getComputedStyle(one).borderLeftWidth), '3px');
      const [on, knob] = await editor.tab.getByRole('switch').evaluate((one) => [getComputedStyle(one, '::after').backgroundColor, getComputedStyle(one, '::before').backgroundColor]);
      assert.notEqual(on, knob);
    });
  });
}
