'use strict';

const assert = require('node:assert/strict');
const { afterEach, beforeEach, describe, it } = require('node:test');
const { util } = require('@node-red/util');
const context = require('@node-red/runtime/lib/nodes/context');
const api = require('@node-red/runtime/lib/api/context');

const protect = require('../../../src/protection');
const { internals } = require('../../../src/protection/internals');
const { parse } = require('../../../src/snapshot');
const { delivered } = require('../../kubelet-volume');

const VALUE = 'value-of-token';

/** What flows read, as it is delivered. */
function snapshot(of) {
  const { '.spacesync.json': meta, '.spacesync/revision': _, ...files } = delivered(of);
  return parse(Buffer.from(meta), new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])));
}

/** Node-RED's own context, started with these settings, and what the plugin said to its log. */
function started(settings = {}) {
  context.init(settings);
  api.init({
    settings, util, log: { audit() {} },
    nodes: { listContextStores: () => context.listStores(), getContext: (id) => context.get(id), getNode: () => null },
  });
  const said = [];
  const say = (text, args = {}) => `${text} ${JSON.stringify(args)}`;
  const log = { say, info: (text, args) => said.push(say(text, args)), warn: (text, args) => said.push(say(text, args)) };
  return { said, install: (holder, options) => protect.install({ settings, util }, holder, { log, ...options }) };
}

/** What a person is shown. */
async function shown(key, store) {
  return JSON.stringify(await api.getValue({ scope: 'global', key, store }));
}

/** Settings with a store of one's own, and what it makes. */
function own() {
  const createdOwn = [];
  const was = () => {
    const kept = new Map();
    const store = {
      kept, open: async () => {}, close: async () => {}, delete() {}, clean() {},
      get(_, key, callback) {
        const keys = [key].flat().map((one) => kept.get(one.split('.')[0]));
        return callback ? callback(null, ...keys) : Array.isArray(key) ? keys : keys[0];
      },
      set(_, key, value, callback) {
        [key].flat().forEach((one, at) => (([value].flat()[at] === undefined) ? kept.delete(one) : kept.set(one, [value].flat()[at])));
        callback?.();
      },
      keys: (_, callback) => (callback ? callback(null, [...kept.keys()]) : [...kept.keys()]),
    };
    createdOwn.push(store);
    return store;
  };
  return { createdOwn, settings: { was, contextStorage: { own: { module: was } } } };
}

describe('the protection', () => {
  let protection;
  const holder = { current: null };
  beforeEach(() => { holder.current = snapshot({ text: { token: VALUE }, json: { nested: { deep: [VALUE] } } }); });
  afterEach(async () => {
    protection?.close();
    await context.close();
  });

  it('serves from the memory store that is there before the plugin is', async () => {
    const { install } = started();
    protection = install(holder);
    await context.load();
    assert.deepEqual({ mode: protection.mode, reason: protection.reason }, { mode: 'memory-store', reason: undefined });
    const global = context.get('global');
    assert.equal(global.get('SECRETS.token'), VALUE);
    assert.equal(global.get('SECRETS.nested.deep[0]'), VALUE);
    assert.equal(global.get('SECRETS_METADATA.version'), 1);
    assert.deepEqual(global.keys(), ['SECRETS', 'SECRETS_METADATA']);
  });

  it('finds stores of one’s own that were prepared for, later on and once more', async () => {
    const { createdOwn, settings } = own();
    const { install } = started(settings);
    const prepared = protect.prepare({ settings });
    await context.load();
    const global = context.get('global');
    global.set('SECRETS', { token: 'stale' });
    for (const times of [1, 2]) {
      protection = install(holder);
      await protection.purged;
      assert.deepEqual([protection.mode, protection.reason], ['context-store', undefined]);
      await new Promise((resolve) => global.get('SECRETS.token', (_, value) => resolve(assert.equal(value, VALUE, `time ${times}`))));
      assert.ok(!(await shown('SECRETS', 'own')).includes(VALUE));
      assert.ok(!JSON.stringify([...createdOwn[0].kept]).includes('stale'));
      protection.close();
      assert.equal(global.get('SECRETS.token'), undefined);
    }
    prepared.close();
    assert.equal(settings.contextStorage.own.module, settings.was);
  });

  it('serves nothing from an open store that cannot be changed', async () => {
    const { createdOwn, settings } = own();
    const { install } = started(settings);
    const prepared = protect.prepare({ settings });
    await context.load();
    Object.freeze(createdOwn[0]);
    protection = install(holder);
    assert.deepEqual([protection.mode, protection.reason], ['none', 'protection.open {"names":"own"}']);
    prepared.close();
  });

  it('shows people that there are secrets, and none of them', async () => {
    const { install } = started({ contextStorage: { a: { module: 'memory' }, b: { module: 'memory' } } });
    protection = install(holder);
    await context.load();
    assert.equal(protection.mode, 'context-store');
    for (const key of ['SECRETS', 'SECRETS.token', 'SECRETS["token"]', 'SECRETS.nested.deep', 'SECRETS.nested.deep[0]', undefined]) {
      for (const store of [undefined, 'a', 'b']) {
        const text = await shown(key, store);
        assert.ok(!text.includes(VALUE), `${key} in ${store}: ${text}`);
      }
    }
    assert.match(await shown('SECRETS'), /token.*•/);
    assert.match(await shown('SECRETS_METADATA.version'), /1/);
    assert.deepEqual(JSON.parse(await shown()).b, {});
    assert.equal(await shown('SECRETS.nested.other'), await shown('SECRETS.nested.deep'), 'what a value is made of is not told');
    assert.equal(context.get('global').get('SECRETS.token'), VALUE, 'flows go on reading');
  });

  it('shows people none also where a store calls back from elsewhere', async () => {
    const waiting = [];
    const elsewhere = (call) => waiting.push(call);
    const timer = setInterval(() => waiting.splice(0).forEach((call) => call()), 1);
    const custom = () => ({
      open: async () => {}, close: async () => {}, delete: async () => {}, clean: async () => {},
      get: (scope, key, callback) => elsewhere(() => callback(null, undefined)),
      set: (scope, key, value, callback) => elsewhere(() => callback?.(null)),
      keys: (scope, callback) => elsewhere(() => callback(null, [])),
    });
    const { install } = started({ contextStorage: { queue: { module: custom } } });
    protection = install(holder);
    await context.load();
    const text = await shown();
    clearInterval(timer);
    assert.match(text, /token/);
    assert.ok(!text.includes(VALUE));
  });

  it('is installed later as well, over the stores that Node-RED brings', async () => {
    for (const contextStorage of [undefined, { default: 'second', first: { module: 'memory' }, second: { module: 'memory' } }]) {
      const { install, said } = started({ contextStorage });
      await context.load();
      context.get('global').set('SECRETS', { token: 'stale' });
      context.get('global').set('mine', 1);
      protection = install(holder);
      await protection.purged;
      assert.equal(protection.mode, contextStorage ? 'context-store' : 'memory-store');
      assert.equal(context.get('global').get('SECRETS.token'), VALUE);
      assert.deepEqual(context.get('global').keys(), ['mine', 'SECRETS', 'SECRETS_METADATA']);
      assert.ok(!(await shown()).includes(VALUE));
      assert.match(said.join(), /protection.purged .*SECRETS/);
      protection.close();
      assert.equal(context.get('global').get('SECRETS'), undefined, 'the stale one is gone from the store itself');
    }
  });

  it('serves nothing where somebody’s own store was open before, and says so', async () => {
    const memory = require('@node-red/runtime/lib/nodes/context/memory');
    class Own {
      constructor() { this.behind = memory({}); }
      open() { return this.behind.open(); }
      close() { return this.behind.close(); }
      get(...given) { return this.behind.get(...given); }
      set(...given) { return this.behind.set(...given); }
      keys(...given) { return this.behind.keys(...given); }
      delete(scope) { return this.behind.delete(scope); }
      clean(nodes) { return this.behind.clean(nodes); }
    }
    const { install } = started({ contextStorage: { a: { module: 'memory' }, own: { module: () => new Own() } } });
    await context.load();
    protection = install(holder);
    assert.equal(protection.mode, 'none');
    assert.match(protection.reason, /protection.open .*own/);
    for (const store of ['a', 'own']) assert.equal(context.get('global').get('SECRETS.token', store), undefined);
  });

  it('serves nothing in a Node-RED that it does not know, and says so', () => {
    const { install } = started();
    protection = install(holder, { find: () => null });
    assert.equal(protection.mode, 'none');
    assert.match(protection.reason, /protection.unknown/);
  });

  it('waits with an empty place for the first snapshot', async () => {
    holder.current = null;
    const { install } = started();
    protection = install(holder);
    await context.load();
    assert.equal(context.get('global').get('SECRETS'), undefined);
    assert.deepEqual(context.get('global').keys(), []);
    context.get('global').set('SECRETS', 'planted');
    assert.equal(context.get('global').get('SECRETS'), undefined);
    holder.current = snapshot({ version: 2, text: { token: 'second' } });
    assert.equal(context.get('global').get('SECRETS.token'), 'second');
  });

  it('is ahead of what settings.js has under the same name', async () => {
    const functionGlobalContext = { SECRETS: { old: 'value of settings.js' }, mine: 1 };
    const { install, said } = started({ functionGlobalContext });
    protection = install(holder);
    await context.load();
    const global = context.get('global');
    assert.equal(global.get('SECRETS.old'), undefined);
    assert.equal(global.SECRETS, undefined);
    assert.equal(global.get('mine'), 1);
    assert.ok(!(await shown('SECRETS.old')).includes('value of settings.js'));
    assert.match(said.join(), /protection.seed .*SECRETS/);
    protection.close();
    assert.equal(global.get('SECRETS.old'), 'value of settings.js');
  });

  it('warns of refused writes once, and keeps values out of the log', async () => {
    const { install, said } = started();
    protection = install(holder);
    await context.load();
    for (let at = 0; at < 100; at += 1) context.get('global').set('SECRETS.token', 'planted');
    assert.equal(said.length, 1);
    assert.ok(!/planted|value-of/.test(said.join()));
  });

  it('can be installed again, and the newest serves alone', async () => {
    const { install } = started();
    install({ current: snapshot({ text: { token: 'first' } }) });
    await context.load();
    protection = install(holder);
    assert.equal(context.get('global').get('SECRETS.token'), VALUE);
    protection.close();
    protection.close();
    assert.equal(context.get('global').get('SECRETS.token'), undefined);
    protection = install(holder);
    assert.equal(context.get('global').get('SECRETS.token'), VALUE);
  });

  it('gives a copy at each read', async () => {
    const { install } = started();
    protection = install(holder);
    await context.load();
    const global = context.get('global');
    global.get('SECRETS.nested').deep.push('mine');
    global.get('SECRETS').token = 'mine';
    global.get('SECRETS_METADATA').keys.length = 0;
    assert.deepEqual(global.get('SECRETS'), { nested: { deep: [VALUE] }, token: VALUE });
    assert.equal(global.get('SECRETS_METADATA').keys.length, 2);
  });
});

describe('Node-RED’s own modules', () => {
  it('are found only where they are loaded and started', () => {
    assert.equal(internals({}), null);
    const file = '/x/node_modules/@node-red/runtime/lib/nodes/context/index.js';
    const apiFile = '/x/node_modules/@node-red/runtime/lib/api/context.js';
    const loaded = (first, getValue) => ({
      [file]: { exports: { listStores: () => ({ default: first, stores: [] }) } }, [apiFile]: { exports: { getValue } },
    });
    assert.equal(internals(loaded(undefined, () => {})), null, 'a copy that nobody started');
    assert.equal(internals(loaded('memory', undefined)), null);
    assert.notEqual(internals(loaded('memory', () => {})), null);
  });
});
