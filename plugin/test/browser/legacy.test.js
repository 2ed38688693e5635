'use strict';

// The advice to delete legacy Secret Manager nodes, in the editors of real Node-REDs, whoever registered the nodes' type.

const assert = require('node:assert/strict');
const path = require('node:path');
const { after, afterEach, before, describe, test } = require('node:test');

const { NO_BROWSER } = require('./editor');
const { Stage } = require('./stage');
const { NAMES, installed } = require('../real/old-package');

/** Where the README has its pictures from: they are taken anew with PICTURES=1. */
const PICTURES = path.join(__dirname, '..', '..', 'docs');
const TYPE = 'qibb-secret-manager';
const DAY_MS = 24 * 60 * 60 * 1000;

/** @typedef {Awaited<ReturnType<import('./editor').Browser['open']>>} Editor */

/** @param {string} id @param {string} z @param {object} [more] */
const legacy = (id, z, more = {}) => ({ id, type: TYPE, z, x: 240, y: 100, wires: [], autosync: '30m', syncOnSave: true, ...more });
const tab = (/** @type {string} */ id, /** @type {string} */ label, more = {}) => ({ id, type: 'tab', label, ...more });
const SUBFLOW = { id: 'sub', type: 'subflow', name: 'Shared', in: [], out: [] };

const ONE = [tab('ingest', 'Ingest'), legacy('one', 'ingest')];
const TWO = [...ONE, tab('rd', 'R&D <b>'), legacy('two', 'rd')];
/** In a flow, disabled in it, in a group, in a subflow, and in a locked flow. */
const EVERYWHERE = [
  ...TWO, legacy('off', 'ingest', { y: 160, d: true }), { id: 'group', type: 'group', z: 'ingest', nodes: ['grouped'], style: { label: true }, x: 154, y: 179, w: 172, h: 82 },
  legacy('grouped', 'ingest', { y: 220, g: 'group' }), SUBFLOW, legacy('shared', 'sub'), { id: 'use', type: 'subflow:sub', z: 'ingest', x: 440, y: 100, wires: [] },
  tab('archive', 'Archive', { locked: true }), legacy('held', 'archive'),
];

/** Whose the type is. @type {Record<string, import('../real/harness').Options>} */
const WHOSE = {
  ours: {},
  'an old package\'s': { files: installed(NAMES[0]) },
  'nobody\'s': { settings: { nodesExcludes: ['legacy-node.js'] } },
};

for (const runtime of /** @type {const} */ ([4, 5])) {
  for (const [whose, options] of Object.entries(WHOSE)) {
    describe(`Node-RED ${runtime}, the type is ${whose}`, { concurrency: false, skip: NO_BROWSER }, () => {
      const { opened, flows, stage } = staged(runtime, { flows: EVERYWHERE, ...options });

      test('finds them wherever they are, deletes all but those in locked flows, and brings them back', async () => {
        await flows(EVERYWHERE);
        const editor = await opened();
        const { prompt, page } = editor;
        await editor.says(prompt, '6 are left, in Shared, Ingest, R&D <b>, Archive.');
        await editor.says(prompt, '1 is in a locked flow and is left as it is: Archive.');
        const was = await shape(editor);
        await page.evaluate(() => /** @type {any} */ (globalThis).RED.view.select('one'));

        await prompt.getByRole('button', { name: 'Delete' }).click();
        await page.getByText('5 legacy nodes deleted. Deploy to make it last; undo brings them back.').waitFor();
        await editor.says(prompt, '1 is left, in Archive.');
        assert.equal(await prompt.getByRole('button', { name: 'Delete' }).count(), 0, 'what is left is locked');
        assert.deepEqual(await ids(editor), ['held']);
        assert.deepEqual(await facts(editor), { dirty: true, selected: 0, group: [], held: false });
        const { json } = await stage().red.request('/flows', { as: 'reader' });
        assert.equal(json.filter((/** @type {any} */ { type }) => type === TYPE).length, 6, 'nothing was deployed');

        await editor.act('core:undo');
        await editor.says(prompt, '6 are left');
        assert.deepEqual(await shape(editor), was);
        assert.equal((await facts(editor)).dirty, false);
        await editor.act('core:redo');
        await editor.says(prompt, '1 is left');
        await editor.act('core:undo');
        await editor.says(prompt, '6 are left');
      });

      test('deletes the wires with it, and brings them back', async () => {
        await flows([tab('ingest', 'Ingest'), { id: 'in', type: 'inject', z: 'ingest', x: 100, y: 100, wires: [['one']] },
          legacy('one', 'ingest', { wires: [['out']], inputs: 1, outputs: 1 }), { id: 'out', type: 'debug', z: 'ingest', x: 500, y: 100, wires: [] }]);
        const editor = await opened();
        await editor.prompt.waitFor();
        const was = await shape(editor);
        assert.match(was, /"in"[^}]*\[\["one"\]\]/);
        await editor.prompt.getByRole('button', { name: 'Delete' }).click();
        await editor.prompt.waitFor({ state: 'detached' });
        assert.match(await shape(editor), /"in"[^}]*\[\[\]\]/);
        await editor.act('core:undo');
        await editor.prompt.waitFor();
        assert.deepEqual(await shape(editor), was);
      });

      test('what is left counts with the next acknowledgement', async () => {
        await flows(TWO);
        await stage().operator.acked(({ legacyNodes }) => legacyNodes === 2);
        const editor = await opened();
        await editor.prompt.getByRole('button', { name: 'Delete' }).click();
        await editor.prompt.waitFor({ state: 'detached' });
        await editor.act('core:deploy-flows');
        await stage().operator.acked(({ legacyNodes }) => legacyNodes === 0);
      });

      test('shows one in its flow, and more in a search', async () => {
        await flows([...ONE, tab('rd', 'Empty')]);
        const editor = await opened();
        await editor.page.evaluate(() => /** @type {any} */ (globalThis).RED.workspaces.show('rd'));
        await editor.prompt.getByRole('button', { name: 'Show' }).click();
        await editor.page.waitForFunction(() => /** @type {any} */ (globalThis).RED.workspaces.active() === 'ingest');
        assert.deepEqual(await editor.page.evaluate(() => /** @type {any} */ (globalThis).RED.view.selection().nodes.map((/** @type {any} */ { id }) => id)), ['one']);

        await flows([SUBFLOW, legacy('shared', 'sub'), ...TWO]);
        const another = await opened();
        await another.prompt.getByRole('button', { name: 'Show' }).click();
        const found = another.page.locator('.red-ui-search-result');
        await found.nth(2).waitFor();
        assert.equal(await found.count(), 3);
        await found.first().click();
        await another.page.locator('.red-ui-search-dialog').waitFor({ state: 'hidden' });
        assert.equal(await another.prompt.count(), 1, 'the advice stays');
      });
    });
  }

  describe(`Node-RED ${runtime}`, { concurrency: false, skip: NO_BROWSER }, () => {
    const { opened, flows, stage, quiet } = staged(runtime, { flows: ONE });

    test('Later: for seven days, for this user, in every browser', async () => {
      const editor = await opened();
      const kept = editor.page.waitForResponse((response) => response.url().endsWith('/settings/user') && response.request().method() === 'POST');
      await editor.prompt.getByRole('button', { name: 'Later' }).click();
      await editor.prompt.waitFor({ state: 'detached' });
      await kept;
      const now = Date.now();
      await quiet(await opened());
      await quiet(await opened({ now: new Date(now + 7 * DAY_MS - 60_000) }));
      await (await opened({ now: new Date(now + 7 * DAY_MS + 60_000) })).prompt.waitFor();
      await (await opened({ as: 'colleague' })).prompt.waitFor();
    });

    test('Later: until the count changes', async () => {
      const editor = await opened();
      const { prompt } = editor;
      await prompt.getByRole('button', { name: 'Later' }).click();
      await prompt.waitFor({ state: 'detached' });
      await editor.page.evaluate((type) => {
        const { RED } = /** @type {any} */ (globalThis);
        RED.nodes.import([{ id: 'more', type, z: 'ingest', x: 240, y: 200, wires: [] }]);
      }, TYPE);
      await editor.says(prompt, '2 are left');
      await prompt.getByRole('button', { name: 'Later' }).click();
      await prompt.waitFor({ state: 'detached' });
      await editor.page.evaluate(() => { const { RED } = /** @type {any} */ (globalThis); RED.nodes.remove('more'); });
      await editor.says(prompt, '1 is left');
    });

    test('Later, of one for whom Node-RED keeps nothing: in this browser', async () => {
      const editor = await opened({ as: 'builder' });
      await editor.prompt.getByRole('button', { name: 'Later' }).click();
      await editor.prompt.waitFor({ state: 'detached' });
      await editor.page.reload();
      await editor.ready();
      await quiet(editor);
      await (await opened({ as: 'builder' })).prompt.waitFor();
    });

    test('a reader is left alone, and may still be shown where they are', async () => {
      const editor = await opened({ as: 'reader' });
      await quiet(editor);
      await editor.act('secret-manager:legacy-nodes');
      await editor.page.waitForFunction(() => /** @type {any} */ (globalThis).RED.view.selection().nodes?.[0]?.id === 'one');
      await quiet(editor);
    });

    test('whoever asks is advised, however long it was put off', async () => {
      const editor = await opened();
      await editor.prompt.getByRole('button', { name: 'Later' }).click();
      await editor.prompt.waitFor({ state: 'detached' });
      await editor.act('secret-manager:legacy-nodes');
      await editor.prompt.waitFor();
      await flows([tab('ingest', 'Ingest')]);
      const another = await opened();
      await another.act('secret-manager:legacy-nodes');
      await another.page.getByText('No legacy Secret Manager node is in these flows').waitFor();
    });

    test('by the keyboard, and it takes the focus from nobody', async () => {
      const editor = await opened();
      const { page, prompt } = editor;
      const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim());
      await prompt.waitFor();
      await quietTimers(page);
      assert.equal(await prompt.evaluate((root) => root.contains(document.activeElement)), false);
      await editor.act('secret-manager:legacy-nodes');
      assert.equal(await focused(), 'Later');
      await page.keyboard.press('Tab');
      assert.equal(await focused(), 'Show');
      await page.keyboard.press('Tab');
      assert.equal(await focused(), 'Delete');
      await page.keyboard.press('Enter');
      await prompt.waitFor({ state: 'detached' });
      assert.deepEqual(await ids(editor), []);
      await page.keyboard.press('Control+z');
      await prompt.waitFor();
      assert.deepEqual(await ids(editor), ['one']);
    });

    test('steps aside while a node is edited', async () => {
      const editor = await opened();
      await editor.prompt.waitFor();
      await editor.page.evaluate(() => { const { RED } = /** @type {any} */ (globalThis); RED.editor.edit(RED.nodes.node('one')); });
      await editor.prompt.waitFor({ state: 'detached' });
      await editor.page.locator('#node-dialog-cancel').click();
      await editor.prompt.waitFor();
    });

    test('takes the old settings over', async () => {
      stage().operator.answers['PATCH /v1/settings'] = ({ body }) => {
        const [[name, value]] = Object.entries(body);
        stage().tell({ [name]: { value, managedBy: null } });
        return { status: 200, body: { [name]: { value, managedBy: null } } };
      };
      await flows([tab('ingest', 'Ingest'), legacy('one', 'ingest', { autosync: '12h', syncOnSave: false })]);
      const editor = await opened();
      const { prompt } = editor;
      await editor.says(prompt, 'It was set to Auto Sync: Every 12 hours (here: Live), Sync on Save: off (here: on).');
      await prompt.getByRole('button', { name: 'Take these settings over' }).press('Enter');
      await editor.says(prompt, 'Auto Sync: Every 12 hours is taken over. Sync on Save: off is taken over.');
      assert.deepEqual(stage().operator.count('PATCH /v1/settings').map(({ body }) => body), [{ autoSync: '12h' }, { syncOnSave: false }]);
      await prompt.getByRole('button', { name: 'Take these settings over' }).waitFor({ state: 'hidden' });
      assert.equal(await editor.page.evaluate(() => document.activeElement?.textContent), 'Later', 'the focus is not lost');
      assert.equal(await editor.page.locator('#secret-manager-auto-sync').inputValue(), '12h');
      assert.deepEqual(await ids(editor), ['one'], 'nothing was deleted');
    });

    test('asks first where more flow apps share the sync', async () => {
      stage().operator.answers['PATCH /v1/settings'] = ({ body }) => ({ status: 200, body: { autoSync: { value: body.autoSync, managedBy: null } } });
      stage().tell({ flowApps: 3 });
      const editor = await opened();
      const { prompt } = editor;
      await prompt.getByRole('button', { name: 'Take these settings over' }).click();
      await editor.says(prompt, 'This applies to 3 flow apps of this space.');
      await check(editor);
      await editor.page.keyboard.press('Escape');
      await prompt.getByText('This applies to').waitFor({ state: 'hidden' });
      assert.equal(stage().operator.count('PATCH /v1/settings').length, 0);
      await prompt.getByRole('button', { name: 'Take these settings over' }).click();
      await prompt.getByRole('button', { name: 'Apply' }).click();
      assert.deepEqual((await stage().operator.wasAsked('PATCH /v1/settings')).body, { autoSync: '30m' });
      await editor.says(prompt, 'Auto Sync: Every 30 minutes is taken over.');
    });

    test('what somebody else manages stays, and is said', async () => {
      const owned = { status: 409, body: { reason: 'FieldOwned', detail: 'argocd-controller has it', owner: 'argocd-controller', field: 'spec.autoSync' } };
      stage().operator.answers['PATCH /v1/settings'] = ({ body }) => {
        if ('autoSync' in body) return owned;
        stage().tell({ syncOnSave: { value: body.syncOnSave, managedBy: null } });
        return { status: 200, body: { syncOnSave: { value: body.syncOnSave, managedBy: null } } };
      };
      await flows([tab('ingest', 'Ingest'), legacy('one', 'ingest', { syncOnSave: false })]);
      const editor = await opened();
      await editor.prompt.getByRole('button', { name: 'Take these settings over' }).click();
      await editor.says(editor.prompt, 'Auto Sync: Every 30 minutes is not taken over: Managed by argocd-controller. Sync on Save: off is taken over.');

      stage().tell({ autoSync: { value: 'Live', managedBy: 'argocd-controller' }, syncOnSave: { value: true, managedBy: null } });
      const another = await opened();
      await another.says(another.prompt, 'It was set to Sync on Save: off (here: on).');
      await another.says(another.prompt, 'Auto Sync is managed by argocd-controller and stays.');
      await check(another);
    });

    test('offers no settings to whom may not change them, nor where they are the same', async () => {
      const take = (/** @type {Editor} */ { page }) => page.getByRole('button', { name: 'Take these settings over' });
      const builder = await opened({ as: 'builder' });
      await builder.prompt.waitFor();
      await builder.showTab();
      await builder.says(builder.sentence, 'Up to date');
      await quietTimers(builder.page);
      assert.equal(await take(builder).count(), 0);
      stage().tell({ autoSync: { value: '30m', managedBy: null } });
      const editor = await opened();
      await editor.prompt.waitFor();
      await editor.page.waitForFunction(() => /** @type {HTMLSelectElement | null} */ (document.querySelector('#secret-manager-auto-sync'))?.value === '30m');
      await quietTimers(editor.page);
      assert.equal(await take(editor).count(), 0);
    });

    test('its own dialog says that it is inert, and keeps what an older package called otherwise', async () => {
      await flows([tab('ingest', 'Ingest'), { id: 'one', type: TYPE, z: 'ingest', x: 240, y: 100, wires: [], interval: '30', synconsave: 'false' }]);
      const editor = await opened();
      const { page } = editor;
      await page.evaluate(() => { const { RED } = /** @type {any} */ (globalThis); RED.editor.edit(RED.nodes.node('one')); });
      await page.getByText('This node does nothing any more').waitFor();
      assert.equal(await page.getByLabel('Auto Sync', { exact: true }).and(page.locator('#node-input-autosync')).inputValue(), '30m');
      assert.equal(await page.locator('#node-input-syncOnSave').isChecked(), false);
      assert.deepEqual(await editor.violations('.red-ui-tray-body .form-row'), []);
      await page.locator('#node-dialog-cancel').click();
      await editor.says(editor.prompt, 'It was set to Auto Sync: Every 30 minutes (here: Live), Sync on Save: off (here: on).');
      const kept = await page.evaluate(() => /** @type {any} */ (globalThis).RED.nodes.createCompleteNodeSet().find((/** @type {any} */ { id }) => id === 'one'));
      assert.deepEqual({ interval: kept.interval, synconsave: kept.synconsave }, { interval: '30', synconsave: 'false' });
      assert.equal(await page.evaluate(() => /** @type {any} */ (globalThis).RED.nodes.node('one').valid), true);
    });

    test('its help is there, and it is not in the palette', async () => {
      const editor = await opened();
      const help = await editor.page.evaluate((type) => /** @type {any} */ (globalThis).RED.nodes.getNodeHelp(type), TYPE);
      assert.match(help, /Gives the secrets of the space.*does nothing any more.*How often the Secret Manager is asked/s);
      assert.equal(await editor.page.locator(`.red-ui-palette-node[data-palette-type="${TYPE}"]`).count(), 0);
    });

    for (const scheme of /** @type {const} */ (runtime === 5 ? ['light', 'dark'] : ['light'])) {
      test(`${scheme}: accessible, and fit for a picture`, async () => {
        await flows([...TWO.slice(0, 2), tab('rd', 'Deliver'), legacy('two', 'rd'), tab('archive', 'Archive', { locked: true }), legacy('held', 'archive')]);
        const editor = await opened({ scheme });
        await editor.says(editor.prompt, '3 are left, in Ingest, Deliver, Archive.');
        await editor.says(editor.prompt, 'They were set to Auto Sync: Every 30 minutes (here: Live).');
        await check(editor);
        if (process.env.PICTURES === '1' && runtime === 5) await editor.page.locator('.red-ui-notification').screenshot({ path: path.join(PICTURES, `legacy-${scheme}.png`) });
      });
    }

    test('in German', async () => {
      await flows(EVERYWHERE);
      const editor = await opened({ language: 'de' });
      await editor.says(editor.prompt, 'Der alte Secret-Manager-Node wird nicht mehr gebraucht');
      await editor.says(editor.prompt, '6 sind noch da, in Shared, Ingest, R&D <b>, Archive.');
      await editor.says(editor.prompt, 'Eingestellt war Automatischer Sync: Alle 30 Minuten (hier: Live).');
      assert.deepEqual(await editor.prompt.getByRole('button').allInnerTexts(), ['Einstellungen übernehmen', 'Später', 'Zeigen', 'Löschen']);
      assert.doesNotMatch(await editor.prompt.innerText(), /sidebar\.|__/);
      await check(editor);
    });
  });

  describe(`Node-RED ${runtime}, below 5.3.0`, { concurrency: false, skip: NO_BROWSER }, () => {
    const { opened, quiet } = staged(runtime, { flows: ONE, settings: { flowAppVersion: '5.2.9' } });

    test('nobody is advised to delete what serves', async () => {
      const editor = await opened();
      await quiet(editor);
      await editor.act('secret-manager:legacy-nodes');
      await editor.page.waitForFunction(() => /** @type {any} */ (globalThis).RED.view.selection().nodes?.[0]?.id === 'one');
      await quiet(editor);
    });

    test('the node is in the palette, and its dialog sets it', async () => {
      const editor = await opened();
      const { page } = editor;
      assert.equal(await page.locator(`.red-ui-palette-node[data-palette-type="${TYPE}"]`).count(), 1);
      const help = await page.evaluate((type) => /** @type {any} */ (globalThis).RED.nodes.getNodeHelp(type), TYPE);
      assert.match(help, /One of these nodes is enough/);
      await page.evaluate(() => { const { RED } = /** @type {any} */ (globalThis); RED.editor.edit(RED.nodes.node('one')); });
      await page.locator('#node-input-autosync').selectOption({ label: 'Every 12 hours' });
      assert.equal(await page.locator('#node-legacy-inert').count(), 0);
      assert.deepEqual(await editor.violations('.red-ui-tray-body .form-row'), []);
      await page.locator('#node-dialog-ok').click();
      await page.waitForFunction(() => /** @type {any} */ (globalThis).RED.nodes.node('one').autosync === '12h');
    });
  });
}

/**
 * A stage for the tests of a suite, put back in order after each.
 * @param {4 | 5} runtime
 * @param {import('../real/harness').Options} options
 */
function staged(runtime, options) {
  /** @type {Stage} */
  let stage;
  /** @type {Editor[]} */
  const open = [];
  /** What is deployed, where it is not what was at first. @type {object[] | null} */
  let deployed = null;
  before(async () => { stage = await Stage.set(runtime, options); });
  after(() => stage.clear());
  afterEach(async () => {
    for (const editor of open.splice(0)) {
      await editor.close();
      assert.deepEqual(editor.errors, []);
    }
    stage.operator.reset();
    stage.deliver(stage.version + 1);
    for (const as of ['editor', 'colleague']) await stage.red.request('/settings/user', { as, method: 'POST', body: { secretManagerLater: null } });
    if (deployed !== null) await flows(options.flows ?? []);
    deployed = null;
  });

  const flows = async (/** @type {object[]} */ of) => {
    deployed = of;
    const { status, text } = await stage.red.request('/flows', { as: 'editor', method: 'POST', body: of });
    assert.equal(status, 204, text);
  };
  return { stage: () => stage, flows, opened, quiet };

  /** @param {import('./editor').How} [how] */
  async function opened(how = {}) {
    const editor = await stage.browser.open(stage.red, how);
    open.push(editor);
    return editor;
  }

  /** Nobody is advised, all being known. @param {Editor} editor */
  async function quiet(editor) {
    await editor.showTab();
    await editor.says(editor.sentence, /version/i);
    await quietTimers(editor.page);
    assert.equal(await editor.prompt.count(), 0);
  }
}

/** Those that are open in the editor. @param {Editor} editor @returns {Promise<string[]>} */
function ids({ page }) {
  return page.evaluate((type) => {
    /** @type {string[]} */
    const found = [];
    /** @type {any} */ (globalThis).RED.nodes.eachNode((/** @type {any} */ node) => {
      if (node.type === type || node._orig?.type === type) found.push(node.id);
    });
    return found;
  }, TYPE);
}

/** What a deploy would send. @param {Editor} editor */
async function shape({ page }) {
  const nodes = await page.evaluate(() => /** @type {any} */ (globalThis).RED.nodes.createCompleteNodeSet());
  return JSON.stringify(nodes.sort((/** @type {any} */ a, /** @type {any} */ b) => a.id.localeCompare(b.id)));
}

/** @param {Editor} editor */
function facts({ page }) {
  return page.evaluate(() => {
    const { RED } = /** @type {any} */ (globalThis);
    return {
      dirty: RED.nodes.dirty(), selected: RED.view.selection().nodes?.length ?? 0,
      group: RED.nodes.group('group').nodes.map((/** @type {any} */ { id }) => id), held: RED.nodes.node('held').changed === true,
    };
  });
}

/** What the editor would do about what it knows now, it has done: its timers run in their order. @param {import('playwright-core').Page} page */
function quietTimers(page) {
  return page.evaluate(() => new Promise((resolve) => {
    /** @type {any} */ (globalThis).RED.events.emit('editor:close');
    setTimeout(resolve, 150);
  }));
}

/** Axe finds nothing. @param {Editor} editor */
async function check(editor) {
  assert.deepEqual(await editor.violations('.secret-manager-legacy'), []);
}
