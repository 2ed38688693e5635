'use strict';

const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const { chromium } = require('playwright-core');

const CHROMIUM = '/usr/bin/chromium';

const WAIT_MS = 15_000;

/** Why there is no browser to test with, if there is none. @type {string | false} */
const NO_BROWSER = fs.existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed: apt-get install chromium`;

/** @typedef {import('../real/harness').NodeRed} NodeRed */
/** @typedef {import('playwright-core').Page} Page */
/**
 * `scheme`: dark is Node-RED 5's only. `language` of the editor.
 * @typedef {{as?: 'editor' | 'reader' | 'visitor', language?: 'en-US' | 'de', scheme?: 'light' | 'dark', width?: number}} How
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
   * @param {NodeRed} red
   * @param {How} [how]
   * @param {string} [there] what else must be there
   */
  async open(red, { as = 'editor', language = 'en-US', scheme = 'light', width = 1400 } = {}, there = '.secret-manager h3') {
    const context = await this.browser.newContext({ locale: language, timezoneId: 'UTC', viewport: { width, height: 900 }, permissions: ['clipboard-read'] });
    context.setDefaultTimeout(WAIT_MS);
    await context.addInitScript(([chosen, dark]) => {
      localStorage.setItem('editor-language', chosen);
      localStorage.setItem('view-dark-theme', dark);
    }, [language, scheme]);
    const page = await context.newPage();
    const editor = new Editor(page);
    await page.goto(red.url);
    await page.fill('#node-dialog-login-username', as);
    await page.fill('#node-dialog-login-password', as);
    await page.click('#node-dialog-login-submit');
    await page.waitForFunction((part) => /** @type {any} */ (globalThis).RED?.workspaces?.active?.() > '' && document.querySelector(part) !== null, there);
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
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('response', async (response) => {
      if (response.url().includes('/secret-manager/')) this.received.push(await response.text().catch(() => ''));
    });
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
      this.received.push(String(payload));
      this.#frames.emit('frame');
    }));
    this.tab = page.locator('.secret-manager');
    this.sentence = this.tab.locator('.secret-manager-sentence');
    this.keys = this.tab.getByRole('grid');
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
