'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const bcrypt = require('bcryptjs');
const WebSocket = require('ws');

const { installedNode } = require('../installed-node');

const PLUGIN = path.resolve(__dirname, '..', '..');
const MODULES = path.join(PLUGIN, 'node_modules');

const REQUEST_MS = 30_000;

/** The Node-REDs that are supported, each with the Node.js that it needs. */
const RUNTIMES = {
  4: { script: path.join(MODULES, 'node-red-4', 'red.js'), node: installedNode() },
  5: { script: path.join(MODULES, 'node-red-5', 'red.js'), node: path.join(MODULES, 'node', 'bin', 'node') },
};

/**
 * Who may sign in: `editor` and `colleague` may do all, `reader` only look, `visitor` only at the flows, `builder` look and deploy.
 * The password is the name.
 */
const USERS = [
  { username: 'editor', password: bcrypt.hashSync('editor', 4), permissions: '*' },
  { username: 'colleague', password: bcrypt.hashSync('colleague', 4), permissions: '*' },
  { username: 'reader', password: bcrypt.hashSync('reader', 4), permissions: 'read' },
  { username: 'visitor', password: bcrypt.hashSync('visitor', 4), permissions: ['flows.read', 'nodes.read', 'plugins.read', 'settings.read', 'status.read', 'library.read', 'context.read'] },
  { username: 'builder', password: bcrypt.hashSync('builder', 4), permissions: ['read', 'flows.write'] },
];

/**
 * @typedef {{
 *   runtime?: 4 | 5,
 *   settings?: Record<string, unknown>,
 *   settingsSource?: string,
 *   flows?: object[],
 *   plugin?: 'link' | 'pack' | 'none' | string,
 *   mount?: string,
 *   env?: Record<string, string>,
 *   files?: Record<string, string>,
 *   deadline?: number,
 * }} Options
 * `settings` is written as JSON; `settingsSource` is JavaScript, the body of a function that may change the object
 * `settings`. `plugin`: linked, packed as npm does it, absent, or the folder of another package. `files` are written below
 * the user folder before the start.
 */

/** One Node-RED process in a folder of its own. */
class NodeRed {
  /**
   * Starts it, and waits until it listens and its flows run.
   * @param {Options} [options]
   */
  static async start(options = {}) {
    const red = new NodeRed(options);
    try {
      await red.launch();
    } catch (error) {
      await red.remove();
      throw error;
    }
    return red;
  }

  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'spacesync-red-'));
    this.userDir = path.join(this.root, 'data');
    /** All that it wrote to its console. */
    this.console = '';
    this.url = '';
    /** @type {Map<string, Promise<string>>} */
    this.tokens = new Map();
    /** @type {Set<() => void>} */
    this.watchers = new Set();
    /** @type {import('node:child_process').ChildProcess | null} */
    this.process = null;
    this.#furnish();
  }

  /** Starts the process once more after a stop, on the same folder. */
  async launch() {
    const { script, node } = RUNTIMES[this.options.runtime ?? 5];
    const from = this.console.length;
    const child = spawn(node, [script, '--userDir', this.userDir, '--settings', path.join(this.userDir, 'settings.js')], {
      cwd: this.userDir,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: `${path.dirname(node)}:${process.env.PATH}`,
        HOME: path.join(this.root, 'home'),
        NO_UPDATE_NOTIFIER: '1',
        ...(this.options.mount === undefined ? {} : { SPACESYNC_MOUNT_PATH: this.options.mount }),
        ...this.options.env,
      },
    });
    this.process = child;
    RUNNING.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
        this.console += text;
        this.#look();
      });
    }
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => {
      RUNNING.delete(child);
      this.process = null;
      this.#look();
      resolve({ code, signal });
    }));
    const [, url] = await this.said(/Server now running at (http\S+)/, { from });
    this.url = url.replace(/\/$/, '');
    this.tokens.clear();
    await this.said(/Started flows|Waiting for missing types|Stopped flows/, { from });
  }

  /**
   * Waits for something on the console.
   * @param {RegExp} pattern
   * @param {{from?: number, deadline?: number}} [options] `from`: a length of `console`; what stands before does not count
   * @returns {Promise<RegExpExecArray>}
   */
  said(pattern, { from = 0, deadline = this.options.deadline ?? 60_000 } = {}) {
    return this.until(() => {
      const match = pattern.exec(this.console.slice(from));
      if (match === null && this.process === null) throw new Error(`Node-RED ended without ${pattern}:\n${this.console}`);
      return match;
    }, `${pattern}`, deadline);
  }

  /**
   * Waits until `look` finds something; asked whenever Node-RED wrote to its console, or a web socket got a frame.
   * @template T
   * @param {() => T | null | undefined | false} look
   * @param {string} what for the error
   * @param {number} [deadline]
   * @returns {Promise<T>}
   */
  until(look, what, deadline = 60_000) {
    return new Promise((resolve, reject) => {
      const settle = (/** @type {() => void} */ how) => {
        this.watchers.delete(watch);
        clearTimeout(timer);
        how();
      };
      const watch = () => {
        try {
          const found = look();
          if (found) settle(() => resolve(found));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const timer = setTimeout(() => settle(() => reject(new Error(`no ${what} within ${deadline} ms:\n${this.console}`))), deadline);
      this.watchers.add(watch);
      watch();
    });
  }

  #look() {
    for (const watch of [...this.watchers]) watch();
  }

  /**
   * The admin API, signed in as someone; or a flow's HTTP endpoint, as nobody.
   * @param {string} place
   * @param {{as?: string, method?: string, body?: unknown, headers?: Record<string, string>}} [options]
   * @returns {Promise<{status: number, text: string, json: any, headers: Headers}>} `json` is undefined where it is none
   */
  async request(place, { as, method = 'GET', body, headers = {} } = {}) {
    const form = body instanceof FormData;
    const response = await fetch(this.url + place, {
      method,
      headers: {
        ...(as === undefined ? {} : { authorization: `Bearer ${await this.token(as)}` }),
        ...(body === undefined || form ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: form ? body : body === undefined ? undefined : JSON.stringify(body),
      // A flow whose node failed never answers.
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    const text = await response.text();
    return { status: response.status, text, json: parsed(text), headers: response.headers };
  }

  /**
   * Signs someone in, once.
   * @param {string} name
   * @returns {Promise<string>}
   */
  token(name) {
    const known = this.tokens.get(name);
    if (known !== undefined) return known;
    const scope = USERS.find((user) => user.username === name)?.permissions ?? '*';
    const body = { client_id: 'node-red-editor', grant_type: 'password', scope, username: name, password: name };
    const token = this.request('/auth/token', { method: 'POST', body }).then(({ json }) => json.access_token);
    this.tokens.set(name, token);
    return token;
  }

  /**
   * Deploys, and waits until the flows run.
   * @param {object[]} flows
   * @param {'full' | 'flows' | 'nodes' | 'reload'} [type]
   */
  async deploy(flows, type = 'full') {
    const from = this.console.length;
    const { status, text } = await this.request('/flows', {
      as: 'editor', method: 'POST', body: flows, headers: { 'Node-RED-Deployment-Type': type },
    });
    if (status !== 204) throw new Error(`deploy: ${status} ${text}`);
    await this.said(/Started (modified )?(flows|nodes)/, { from });
  }

  /**
   * Installs the plugin as the palette does it: an upload of what `npm pack` makes of it.
   * @param {string} [folder]
   */
  async install(folder = PLUGIN) {
    const tarball = pack(folder);
    const body = new FormData();
    body.set('tarball', new Blob([fs.readFileSync(tarball)], { type: 'application/gzip' }), path.basename(tarball));
    const { status, text } = await this.request('/nodes', { as: 'editor', method: 'POST', body });
    if (status !== 200) throw new Error(`install: ${status} ${text}\n${this.console}`);
  }

  /**
   * What an open editor is sent.
   * @param {string} [as]
   * @returns {Promise<{frames: string[], text: () => string, close: () => void}>}
   */
  async comms(as = 'editor') {
    // First: while this waits for its answer, a socket would open unheard.
    const token = await this.token(as);
    const socket = new WebSocket(`${this.url.replace(/^http/, 'ws')}/comms`);
    /** @type {string[]} */
    const frames = [];
    socket.on('message', (data) => {
      frames.push(data.toString());
      this.#look();
    });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    socket.send(JSON.stringify({ auth: token }));
    await this.until(() => frames.some((frame) => frame.includes('"auth":"ok"')), 'sign-in on the web socket');
    for (const topic of ['debug', 'status/#', 'notification/#', '#']) socket.send(JSON.stringify({ subscribe: topic }));
    return { frames, text: () => frames.join('\n'), close: () => socket.terminate() };
  }

  /**
   * SIGTERM, as the kubelet sends it, and the wait for the end.
   * @returns {Promise<{code: number | null, signal: string | null}>}
   */
  async stop() {
    this.process?.kill('SIGTERM');
    const timer = setTimeout(() => this.process?.kill('SIGKILL'), 20_000);
    const ended = await this.ended;
    clearTimeout(timer);
    return /** @type {any} */ (ended);
  }

  /**
   * Every file that the process could have written, links aside.
   * @returns {Map<string, Buffer>} by the path below its folder
   */
  files() {
    const entries = fs.readdirSync(this.root, { recursive: true, withFileTypes: true });
    return new Map(entries.filter((entry) => entry.isFile()).map((entry) => {
      const file = path.join(entry.parentPath ?? entry.path, entry.name);
      return [path.relative(this.root, file), fs.readFileSync(file)];
    }));
  }

  /** Ends the process, if it runs, and removes its folder. */
  async remove() {
    this.process?.kill('SIGKILL');
    await this.ended;
    fs.rmSync(this.root, { recursive: true, force: true });
  }

  /** The user folder, as a user has it: settings, flows, and the plugin among the node modules. */
  #furnish() {
    const { settings = {}, settingsSource = '', flows = [], plugin = 'link', files = {} } = this.options;
    fs.mkdirSync(path.join(this.root, 'home'));
    fs.mkdirSync(path.join(this.userDir, 'node_modules'), { recursive: true });
    const all = {
      uiHost: '127.0.0.1', uiPort: 0, flowFile: 'flows.json', credentialSecret: false, lang: 'en-US',
      telemetry: { enabled: false, updateNotification: false }, editorTheme: { tours: false },
      adminAuth: { type: 'credentials', users: USERS },
      ...settings,
    };
    const source = `const settings = ${JSON.stringify(all, null, 2)};\n${settingsSource}\nmodule.exports = settings;\n`;
    fs.writeFileSync(path.join(this.userDir, 'settings.js'), source);
    fs.writeFileSync(path.join(this.userDir, 'flows.json'), JSON.stringify(flows));
    for (const [name, content] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(this.userDir, name)), { recursive: true });
      fs.writeFileSync(path.join(this.userDir, name), content);
    }
    const folder = ['link', 'pack', 'none'].includes(plugin) ? PLUGIN : plugin;
    const { name, version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const dependencies = plugin === 'none' ? {} : { [name]: version };
    fs.writeFileSync(path.join(this.userDir, 'package.json'), JSON.stringify({ name: 'flows', private: true, dependencies }));
    if (plugin === 'none') return;
    const place = path.join(this.userDir, 'node_modules', name);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    if (plugin === 'pack') unpack(pack(folder), place);
    else fs.symlinkSync(folder, place);
  }
}

/** No Node-RED outlives the test. @type {Set<import('node:child_process').ChildProcess>} */
const RUNNING = new Set();
process.on('exit', () => {
  for (const child of RUNNING) child.kill('SIGKILL');
  for (const tarball of TARBALLS.values()) fs.rmSync(path.dirname(tarball), { recursive: true, force: true });
});

/** @type {Map<string, string>} */
const TARBALLS = new Map();

/**
 * What npm would publish of a package.
 * @param {string} folder
 * @returns {string} the tarball
 */
function pack(folder) {
  const known = TARBALLS.get(folder);
  if (known !== undefined) return known;
  const into = fs.mkdtempSync(path.join(os.tmpdir(), 'spacesync-pack-'));
  const out = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into], {
    cwd: folder, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [{ filename }] = JSON.parse(out.toString());
  const tarball = path.join(into, filename.replace('@', '').replace('/', '-'));
  TARBALLS.set(folder, tarball);
  return tarball;
}

/**
 * @param {string} tarball
 * @param {string} into
 */
function unpack(tarball, into) {
  fs.mkdirSync(into, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', into]);
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

module.exports = { NodeRed, RUNTIMES, PLUGIN, pack };
