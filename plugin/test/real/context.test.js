'use strict';

// The table: every way of reading SECRETS in a real Node-RED of each kind, and what is left of the values elsewhere.

const assert = require('node:assert/strict');
const http = require('node:http');
const { after, before, describe, test } = require('node:test');
const { KubeletVolume, delivered } = require('../kubelet-volume');
const { NodeRed } = require('./harness');
const { Scanner } = require('./scanner');
const { TAB, canaries, flows, values, ways } = require('./ways');

/** What an older version has left in a file store. */
const STALE = { token: 'st4le-t0ken-on-disk', old: 'st4le-0ld-on-disk' };
const LEFT = { 'context/global/global.json': JSON.stringify({ SECRETS: STALE, SECRETS_METADATA: { version: 0 }, mine: 'kept' }) };

/** A store of one's own that answers from a queue of its own, so that nobody can tell who asked. */
const OWN_STORE = `
const queue = [];
setInterval(() => queue.splice(0).forEach((call) => call()), 1);
const behind = new Map();
const later = (callback, ...given) => callback && queue.push(() => callback(...given));
settings.contextStorage = { own: { module: () => ({
  open: async () => {}, close: async () => {}, delete: async () => {}, clean: async () => {},
  get: (scope, key, callback) => later(callback, null, ...[key].flat().map((one) => behind.get(scope + one))),
  set: (scope, key, value, callback) => { [key].flat().forEach((one, at) => behind.set(scope + one, Array.isArray(key) ? value[at] : value)); later(callback, null); },
  keys: (scope, callback) => later(callback, null, [...behind.keys()].filter((key) => key.startsWith(scope)).map((key) => key.slice(scope.length))),
}) } };`;

const FILE = { module: 'localfilesystem' };
const STORAGES = {
  'no contextStorage': { store: 'memory' },
  memory: { store: 'default', settings: { contextStorage: { default: { module: 'memory' } } } },
  localfilesystem: { store: 'default', settings: { contextStorage: { default: FILE } }, files: LEFT },
  'two stores, the second the default': { store: 'fast', settings: { contextStorage: { default: 'file', fast: { module: 'memory' }, file: FILE } }, files: LEFT },
  'localfilesystem without its cache': { store: 'default', settings: { contextStorage: { default: { ...FILE, config: { cache: false } } } }, files: LEFT },
  'a store of one’s own': { store: 'own', settingsSource: OWN_STORE },
};
const SEED = { functionGlobalContext: { mine: 'of settings.js', SECRETS: STALE } };

/** Answers with what kind of thing SECRETS is, read in two ways. */
const READ = [
  { id: TAB, type: 'tab' }, { id: 'in', type: 'http in', z: TAB, x: 1, y: 1, url: '/read', method: 'get', wires: [['read']] },
  { id: 'read', type: 'function', z: TAB, x: 1, y: 1, outputs: 1, func: 'global.get("SECRETS", (error, value) => { msg.payload = [typeof value, typeof global.SECRETS]; node.send(msg); });', wires: [['out']] },
  { id: 'out', type: 'http response', z: TAB, x: 1, y: 1, wires: [] },
];

/** @type {{runtime: 4 | 5, storage: keyof typeof STORAGES, seed: boolean, at: 'start' | 'run time'}[]} */
const TABLE = [4, 5].flatMap((runtime) => [
  ...['no contextStorage', 'memory', 'localfilesystem', 'two stores, the second the default'].flatMap((storage, row) => [
    { runtime, storage, seed: (row + runtime) % 2 === 0, at: 'start' },
    { runtime, storage, seed: (row + runtime) % 2 === 1, at: 'run time' },
  ]),
  { runtime, storage: 'localfilesystem without its cache', seed: false, at: 'start' },
  { runtime, storage: 'a store of one’s own', seed: true, at: 'start' },
]);

// A few at a time: most of the time a Node-RED starts or is waited for.
describe('SECRETS in Node-RED', { concurrency: 3 }, () => {
  for (const { runtime, storage, seed, at } of TABLE) {
    describe(`${runtime}, ${storage}, ${seed ? 'with' : 'without'} functionGlobalContext, installed at ${at}`, { concurrency: 1 }, () => {
      const { store, settings = {}, settingsSource = '', files = {} } = /** @type {any} */ (STORAGES[storage]);
      /** @type {NodeRed} */ let red;
      /** @type {KubeletVolume} */ let volume;

      before(async () => {
        volume = KubeletVolume.create();
        volume.swap(delivered(values()));
        const options = { runtime, settingsSource, files, mount: volume.path, settings: { ...settings, ...(seed ? SEED : {}) } };
        red = await NodeRed.start({ ...options, ...(at === 'start' ? { plugin: 'pack', flows: flows(store) } : { plugin: 'none' }) });
        if (at === 'run time') {
          await red.install();
          await red.said(/Version 1 of the secrets/);
          await red.deploy(flows(store));
        }
        await red.said(/injected/);
      });
      after(async () => {
        await red?.remove();
        volume?.remove();
      });

      const read = async (/** @type {import('./ways').Way} */ { name, query = '' }) => {
        const { json, text } = await red.request(`/way/${name}${query}`);
        return json ?? text;
      };

      test('every way of reading', async () => {
        const all = ways(store);
        const answers = await Promise.all(all.map(async (way) => [way.name, await read(way)]));
        const expected = all.map(({ name, answer }) => [name, answer]);
        assert.deepEqual(answers, expected);
      });

      test('a flow’s own endpoint below /context is a flow', async () => {
        assert.equal((await red.request('/context/hello')).text, canaries().token);
      });

      test('people see that there are secrets, and no value', async () => {
        for (const as of ['editor', 'reader']) {
          const shown = await look(red, store, as);
          assert.deepEqual(traces(Object.entries(shown), { ...canaries(), ...STALE }), [], as);
          assert.match(shown['/context/global'], /SECRETS.*token.*••••••••/);
          assert.match(shown[`/context/global?store=${store}`] ?? '', /{/);
          assert.match(shown['/context/global/SECRETS?keysOnly'], /token/);
        }
      });

      test('people delete nothing', async () => {
        for (const key of ['SECRETS', 'SECRETS.token', 'SECRETS_METADATA']) {
          assert.equal((await red.request(`/context/global/${key}`, { as: 'editor', method: 'DELETE' })).status, 204);
        }
        assert.equal(await read(ways(store)[0]), canaries().token);
        // Once a minute, of the hundreds that were refused.
        assert.equal(red.console.match(/They are read-only/g)?.length, 1);
      });

      if (files === LEFT) {
        test('what an older version left is gone from the disk, and other keys are not', () => {
          const left = JSON.parse(/** @type {Buffer} */ (red.files().get('data/context/global/global.json')).toString());
          assert.equal(left.mine, 'kept');
          assert.deepEqual(Object.keys(left).filter((key) => key.startsWith('SECRETS')), []);
        });
      }

      test('a change is in the next message, in every way', async () => {
        volume.swap(delivered(values(2)));
        await red.said(/Version 2 of the secrets/);
        // These two keep what they read when the flow started.
        const all = ways(store, 2).filter(({ name }) => !['on-start', 'inject'].includes(name));
        const answers = await Promise.all(all.map(async (way) => [way.name, await read(way)]));
        assert.deepEqual(answers, all.map(({ name, answer }) => [name, answer]));
      });

      test('after SIGTERM nothing of a value is in any file, nor was it on the console', async () => {
        const from = red.console.length;
        const { code } = await red.stop();
        assert.equal(code, 0);
        assert.match(red.console.slice(from), /stopped with \d+ characters/);
        const places = new Map([...red.files(), ['console', Buffer.from(red.console)]]);
        if (seed) places.delete('data/settings.js');
        assert.deepEqual(traces(places, { ...canaries(1), ...canaries(2), ...STALE }), []);
      });
    });
  }

  for (const runtime of /** @type {const} */ ([4, 5])) {
    test(`${runtime}: a store of one’s own that was open before the plugin came`, () => withSecretsBeside(runtime, { settingsSource: OWN_STORE }, async (red) => {
      await red.install();
      await red.said(/SECRETS is not given to flows.*the context store own was open before.*restart/);
      await red.deploy(READ);
      assert.deepEqual((await red.request('/read')).json, ['undefined', 'undefined']);

      await red.stop();
      await red.launch();
      assert.deepEqual((await red.request('/read')).json, ['object', 'object'], 'a restart helps');
    }));

    test(`${runtime}: the plugin is removed from the palette, and installed again`, () => withSecretsBeside(runtime, {}, async (red) => {
      await red.install();
      await red.deploy(READ);
      assert.deepEqual((await red.request('/read')).json, ['object', 'object']);
      const { status } = await red.request('/nodes/@spacesync/node-red-secret-manager', { as: 'editor', method: 'DELETE' });
      assert.equal(status, 204);
      assert.deepEqual((await red.request('/read')).json, ['undefined', 'undefined']);

      await red.install();
      assert.deepEqual((await red.request('/read')).json, ['object', 'object']);
      assert.deepEqual(traces([['shown', (await red.request('/context/global', { as: 'reader' })).text]], canaries()), []);
    }));
  }
});

/**
 * A Node-RED without the plugin, beside a mount that holds secrets.
 * @param {4 | 5} runtime
 * @param {import('./harness').Options} options
 * @param {(red: NodeRed) => Promise<void>} use
 */
async function withSecretsBeside(runtime, options, use) {
  const volume = KubeletVolume.create();
  volume.swap(delivered(values()));
  const red = await NodeRed.start({ runtime, mount: volume.path, plugin: 'none', ...options });
  try {
    await use(red);
  } finally {
    await red.remove();
    volume.remove();
  }
}

/**
 * Where values stand that should not.
 * @param {Iterable<[string, string | Buffer]>} places by their names
 * @param {Record<string, string>} secrets by key
 */
function traces(places, secrets) {
  const scanner = new Scanner(secrets);
  return [...places].flatMap(([where, content]) => scanner.scan(where, content));
}

/**
 * All that the admin API says of the context, by all ways to ask for it.
 * @param {NodeRed} red
 * @param {string} store
 * @param {string} as
 * @returns {Promise<Record<string, string>>}
 */
async function look(red, store, as) {
  const keys = ['SECRETS', 'SECRETS.token', 'SECRETS.login', 'SECRETS.login.user', 'SECRETS.login.roles[1]', 'SECRETS["a.b"]', '"SECRETS".token', 'SECRETS.old', 'SECRETS_METADATA', '%53ECRETS.token'];
  const places = [
    '/context/global', '/CONTEXT/global', `/context/global?store=${store}`, '/context/global?keysOnly', `/context/flow/${TAB}`, '/context/node/get',
    ...keys.flatMap((key) => ['', `?store=${store}`, '?keysOnly'].map((query) => `/context/global/${key}${query}`)),
    ...keys.map((key) => `/context/flow/${TAB}/$parent.${key}`),
  ];
  const shown = Object.fromEntries(await Promise.all(places.map(async (place) => [place, (await red.request(place, { as })).text])));
  shown['absolute form'] = await absolute(red, '/context/global/SECRETS', as);
  return shown;
}

/**
 * `GET http://host/path`, as a proxy is asked. Node-RED's router reads it like any other.
 * @param {NodeRed} red
 * @param {string} place
 * @param {string} as
 */
async function absolute(red, place, as) {
  const authorization = `Bearer ${await red.token(as)}`;
  const { hostname, port } = new URL(red.url);
  return new Promise((resolve, reject) => {
    http.get({ hostname, port, path: red.url + place, headers: { authorization } }, async (response) => {
      resolve(Buffer.concat(await response.toArray()).toString());
    }).on('error', reject);
  });
}
