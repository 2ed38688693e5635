'use strict';

const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const { chromium } = require('playwright-core');

const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const CHROMIUM = '/usr/bin/chromium';

const WAIT_MS = 15_000;
/** What stands in the tab when it is filled. */
const TAB = '.secret-manager h3';

/** Why there is no browser to test with, if there is none. @type {string | false} */
const NO_BROWSER = fs.existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed: apt-get install chromium`;

/** @typedef {import('playwright-core').Page} Page */
/**
 * `scheme`: dark is Node-RED 5's only. `language` of the editor. `now`: what its clock says at first.
 * @typedef {{
 *   as?: 'editor' | 'colleague' | 'reader' | 'visitor' | 'viewer' | 'builder', language?: 'en-US' | 'de', scheme?: 'light' | 'dark',
 *   width?: number, now?: Date,
 * }} How
 */

/** A browser in which people sign in to editors. */
class Browser {
  static async start() {
    return new Browser(await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    }));
  }

  /** @param {import('playwright-core').Browser} browser */
  constructor(browser) {
    this.browser = browser;
  }

  /**
   * Opens the editor as somebody, and waits until its flows are there.
   * @param {{url: string}} red
   * @param {How} [how]
   * @param {string} [there] what else must be there
   */
  async open(red, { as = 'editor', language = 'en-US', scheme = 'light', width = 1400, now } = {}, there = TAB) {
    const context = await this.browser.newContext({ locale: language, timezoneId: 'UTC', viewport: { width, height: 900 }, permissions: ['clipboard-read'] });
    context.setDefaultTimeout(WAIT_MS);
    await context.addInitScript(([chosen, dark]) => {
      localStorage.setItem('editor-language', chosen);
      localStorage.setItem('view-dark-theme', dark);
    }, [language, scheme]);
    const page = await context.newPage();
    if (now !== undefined) await page.clock.setSystemTime(now);
    const editor = new Editor(page);
    await page.goto(red.url);
    await page.fill('#node-dialog-login-username', as);
    await page.fill('#node-dialog-login-password', as);
    await page.click('#node-dialog-login-submit');
    await editor.ready(there);
    if (there === TAB) await editor.listens;
    return editor;
  }

  close() {
    return this.browser.close();
  }
}

/** One open editor, as a person uses it. */
class Editor {
  /** @type {string[]} */
  errors = [];
  /** All texts that the plugin sent: answers and web socket frames. @type {string[]} */
  received = [];
  #frames = new EventEmitter();

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    page.on('pageerror', (error) => this.errors.push(String(error.stack)));
    page.on('response', async (response) => {
      if (response.url().includes('/secret-manager/')) this.received.push(await response.text().catch(() => ''));
    });
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
      this.received.push(String(payload));
      this.#frames.emit('frame');
    }));
    /** Resolves once the runtime was asked to tell of swaps. @type {Promise<void>} */
    this.listens = new Promise((resolve) => page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
      if (String(payload).includes('secret-manager/swap')) resolve();
    })));
    this.tab = page.locator('.secret-manager');
    this.sentence = this.tab.locator('.secret-manager-sentence');
    this.keys = this.tab.getByRole('grid');
    /** The advice to delete legacy nodes. */
    this.prompt = page.locator('.secret-manager-legacy');
    this.syncNow = this.tab.getByRole('button', { name: 'Sync now' });
    this.outcome = this.tab.locator('.secret-manager-outcome');
    this.onSave = this.tab.getByRole('switch', { name: 'Sync on Save' });
    this.auto = this.tab.getByRole('combobox', { name: 'Auto Sync' });
  }

  /** The flows are there, and the tab. @param {string} [there] instead of the tab */
  async ready(there = TAB) {
    await this.page.waitForFunction((part) => /** @type {any} */ (globalThis).RED?.workspaces?.active?.() > '' && document.querySelector(part) !== null, there);
  }

  /** By the action list's own action. */
  async showTab() {
    await this.act('secret-manager:show');
    await this.sentence.waitFor();
    return this;
  }

  /** @param {string} action */
  act(action) {
    return this.page.evaluate((name) => /** @type {any} */ (globalThis).RED.actions.invoke(name), action);
  }

  /**
   * Changes a node's name and deploys it; or restarts the flows.
   * @param {'full' | 'modified-flows' | 'modified-nodes' | 'restart'} mode
   */
  async deploy(mode) {
    // For a moment after a deploy the editor takes no other.
    await this.page.waitForFunction(() => {
      const { $ } = /** @type {any} */ (globalThis);
      return $('.red-ui-deploy-button-content').css('opacity') === '1' && !$('#red-ui-header-shade').is(':visible');
    });
    const deployed = this.page.waitForResponse((response) => new URL(response.url()).pathname === '/flows' && response.request().method() === 'POST');
    await this.page.evaluate((way) => {
      const { RED } = /** @type {any} */ (globalThis);
      if (way === 'restart') return void RED.actions.invoke('core:restart-flows');
      const node = RED.nodes.node('read');
      node.name += '.';
      node.changed = true;
      node.dirty = true;
      RED.nodes.dirty(true);
      RED.actions.invoke(`core:set-deploy-type-to-${way}`);
      RED.actions.invoke('core:deploy-flows');
    }, mode);
    const response = await deployed;
    if (!response.ok()) throw new Error(`deploy: ${response.status()}`);
  }

  /** Deploys the flows as they are, past the editor. */
  async deployByApi() {
    const status = await this.page.evaluate(async () => {
      const { $ } = /** @type {any} */ (globalThis);
      const flows = await $.getJSON('flows');
      return $.ajax({ url: 'flows', method: 'POST', data: JSON.stringify(flows), contentType: 'application/json' }).then((/** @type {any} */ _, /** @type {any} */ __, /** @type {any} */ { status: code }) => code);
    });
    if (status !== 200 && status !== 204) throw new Error(`deploy: ${status}`);
  }

  /**
   * Asks the plugin's server part as the signed-in person, past the tab and what it locks.
   * @param {'GET' | 'POST' | 'PATCH'} method
   * @param {'state' | 'keys' | 'sync' | 'settings'} place
   * @param {object} [body]
   * @returns {Promise<{status: number, body: any}>}
   */
  ask(method, place, body) {
    return this.page.evaluate(([how, where, what]) => new Promise((resolve) => {
      /** @type {any} */ (globalThis).$.ajax({
        url: `secret-manager/${where}`, method: how, ...(what !== undefined && { data: JSON.stringify(what), contentType: 'application/json' }),
        complete: (/** @type {any} */ { status, responseJSON, responseText }) => resolve({ status, body: responseJSON ?? (/^[{[]/.test(responseText) ? JSON.parse(responseText) : null) }),
      });
    }), /** @type {const} */ ([method, place, body]));
  }

  /** @param {string} name of a key */
  key(name) {
    return this.keys.getByRole('row').filter({ has: this.page.locator('code', { hasText: new RegExp(`^${name.replace(/[.$]/g, '\\$&')}$`) }) });
  }

  /** What was copied last. */
  clipboard() {
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  /**
   * Waits until a text stands somewhere.
   * @param {import('playwright-core').Locator} place
   * @param {string | RegExp} text
   */
  says(place, text) {
    return place.filter({ hasText: text }).waitFor();
  }

  /** From now on, notes when the tab first shows a text. @param {string} text */
  watch(text) {
    return this.page.evaluate((wanted) => {
      const tab = /** @type {Node} */ (document.querySelector('.secret-manager'));
      /** @type {any} */ (globalThis).seen = new Promise((resolve) => {
        new MutationObserver(() => { if (tab.textContent?.includes(wanted)) resolve(Date.now()); }).observe(tab, { subtree: true, childList: true, characterData: true });
      });
    }, text);
  }

  /** When that was. @returns {Promise<number>} */
  sawAt() {
    return this.page.evaluate(() => /** @type {any} */ (globalThis).seen);
  }

  /** Waits until the web socket brought a text, and the page has had it. @param {string} text */
  async heard(text) {
    while (!this.received.some((one) => one.includes(text))) await once(this.#frames, 'frame', { signal: AbortSignal.timeout(WAIT_MS) });
    await this.page.evaluate(() => new Promise((resolve) => { setTimeout(resolve); }));
  }

  /**
   * What axe finds.
   * @param {string} place
   * @returns {Promise<string[]>}
   */
  async violations(place) {
    await this.page.evaluate(AXE);
    return this.page.evaluate(async (selector) => {
      const { violations } = await /** @type {any} */ (globalThis).axe.run(selector);
      return violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => `${node.html.slice(0, 120)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    }, place);
  }

  /**
   * A picture of the tab as a whole.
   * @param {string} file
   * @param {import('playwright-core').Locator} pointed what the pointer is on
   */
  async picture(file, pointed) {
    await this.page.setViewportSize({ width: 1400, height: 1200 });
    // The messages of the Debug tab stand below it, and give way.
    await this.page.locator('[data-tab-id=debug]').first().click();
    await pointed.hover();
    // The editor gives the room a moment later.
    const whole = await this.page.waitForFunction(() => {
      const tab = /** @type {Element} */ (document.querySelector('.secret-manager'));
      const sum = [...tab.children].reduce((all, section) => all + section.getBoundingClientRect().height, 0);
      return tab.getBoundingClientRect().height >= sum && sum;
    });
    const height = Number(await whole.jsonValue());
    const box = await this.tab.boundingBox();
    if (box === null) throw new Error('the tab is not to be seen');
    await this.page.screenshot({ path: file, clip: { ...box, height } });
  }

  close() {
    return this.page.context().close();
  }
}

module.exports = { Browser, NO_BROWSER };
