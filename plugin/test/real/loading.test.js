'use strict';

// The whole plugin in a real Node-RED: what is mounted, what flows read then, and what the operator is told.

const assert = require('node:assert/strict');
const { after, afterEach, before, describe, test } = require('node:test');

const { KubeletVolume, delivered } = require('../kubelet-volume');
const { Operator } = require('../operator');
const { NodeRed } = require('./harness');
const { version: PLUGIN_VERSION } = require('../../package.json');

const revision = (/** @type {number} */ version) => `${version}-0123456789abcdef`;

/** GET /read answers with what a Function node reads; at its start it says what it read then. */
const FLOWS = [
  { id: 'tab', type: 'tab', label: 'flow' },
  { id: 'in', type: 'http in', z: 'tab', url: '/read', method: 'get', wires: [['read']] },
  {
    id: 'read', type: 'function', z: 'tab', wires: [['out']],
    func: 'msg.payload = { secrets: global.get("SECRETS"), metadata: global.get("SECRETS_METADATA") }; return msg;',
    initialize: 'node.warn("at the start: version " + (global.get("SECRETS_METADATA") || {}).version);',
  },
  { id: 'out', type: 'http response', z: 'tab', wires: [] },
];

for (const runtime of /** @type {const} */ ([4, 5])) {
  describe(`Node-RED ${runtime}`, { concurrency: false }, () => {
    /** @type {Operator} */
    let operator;
    /** @type {(() => unknown)[]} */
    const undo = [];
    before(async () => { operator = await Operator.start(); });
    after(() => operator.close());
    afterEach(async () => {
      operator.acks.length = 0;
      for (const one of undo.splice(0).reverse()) await one();
    });

    const mounted = (/** @type {Record<string, string>} */ files = {}) => {
      const at = KubeletVolume.create();
      undo.push(() => at.remove());
      if (Object.keys(files).length > 0) at.swap(files);
      return at;
    };
    const started = async (/** @type {import('./harness').Options} */ options) => {
      const red = await NodeRed.start({ runtime, flows: FLOWS, ...options });
      undo.push(() => red.remove());
      return red;
    };
    const of = (/** @type {number} */ version, told = {}) =>
      delivered({ version, text: { TOKEN: `the token of version ${version}` }, told: { ...operator.told, ...told } });
    const read = async (/** @type {NodeRed} */ red) => (await red.request('/read')).json;
    const ours = (/** @type {NodeRed} */ red) => red.console.split('\n').filter((line) => line.includes('[secret-manager]'));

    test('from the mount to the flow, and back to the operator what the flow reads', async () => {
      const at = mounted(of(1));
      const red = await started({ mount: at.path });
      await red.said(/at the start: version 1/);
      const ack = await operator.acked((one) => one.legacyNodes === 0);
      const { version } = ack.runtime;
      assert.match(version, runtime === 4 ? /^4\.1\.\d+$/ : /^5\.\d+\.\d+$/);
      assert.deepEqual(ack, {
        revision: revision(1), runtime: { name: 'node-red', version, plugin: PLUGIN_VERSION, protection: 'memory-store' }, legacyNodes: 0,
      });

      at.swap(of(2));
      await operator.acked((one) => one.revision === revision(2));
      const { secrets, metadata } = await read(red);
      assert.deepEqual(secrets, { TOKEN: 'the token of version 2' });
      assert.equal(metadata.revision, revision(2));

      // A new annotation beside the old Secret, then beside half a Secret: flows read on, and no ack says otherwise.
      operator.acks.length = 0;
      at.swap(of(2, { revision: revision(3) }));
      const { TOKEN: _, ...half } = of(3);
      at.swap(half);
      await red.said(/Half of the secrets are there; missing: TOKEN \(SnapshotIncomplete\)\. Flows keep version 2/);
      assert.equal((await read(red)).metadata.version, 2);
      const { error } = await operator.acked((one) => one.revision === revision(3));
      assert.equal(error, 'SnapshotIncomplete');
      at.swap(of(3));
      at.swap(of(4));
      await operator.acked((one) => one.revision === revision(4) && one.error === undefined);
      assert.equal((await read(red)).metadata.version, 4);
      assert.deepEqual(operator.acks.filter((one) => one.revision === revision(2)), []);

      // A renewed token is no event. (The last swap is there to wait for.)
      operator.acks.length = 0;
      const lines = ours(red).length;
      at.swap(of(4, { extra: 'renewed' }));
      at.swap(of(5));
      await operator.acked((one) => one.revision === revision(5));
      assert.deepEqual([operator.acks.length, ours(red).length], [1, lines + 1], ours(red).join('\n'));
    });

    test('a deploy reads what stands in the mount, and legacy nodes are counted', async () => {
      const at = mounted(of(1));
      const legacy = { id: 'legacy', type: 'qibb-secret-manager', z: 'tab', d: true, wires: [] };
      const red = await started({ mount: at.path, flows: [...FLOWS, legacy] });
      await operator.acked((one) => one.legacyNodes === 1);
      await red.deploy(FLOWS);
      await operator.acked((one) => one.legacyNodes === 0);
      await red.said(/at the start: version 1/);
    });

    test('the operator is away: flows run on, the log has one line, and the address that comes later is called', async () => {
      const nobody = { url: 'https://127.0.0.1:1' };
      const at = mounted(of(1, nobody));
      const red = await started({ mount: at.path });
      await red.said(/The operator cannot be told which secrets are loaded: Unreachable \(ECONNREFUSED\)/);
      at.swap(of(2, nobody));
      await red.said(/Version 2 of the secrets is loaded/);
      assert.equal((await read(red)).metadata.version, 2);
      at.swap(of(2));
      await operator.acked((one) => one.revision === revision(2));
      await red.said(/The operator knows again/);
      assert.equal(ours(red).filter((line) => line.includes('cannot be told')).length, 1);
    });

    test('before the first sync it waits a little, then starts, and loads when the secrets come', async () => {
      const at = mounted({ '.spacesync/token': 'of-this-pod' });
      const red = await started({ mount: at.path, settings: { secretManager: { waitMs: 300 } } });
      const lines = red.console.split('\n').map((line, n) => ({ line, n }));
      const at1 = (/** @type {RegExp} */ pattern) => lines.find(({ line }) => pattern.test(line))?.n ?? -1;
      assert.ok(at1(/Waiting for the first sync/) > 0 && at1(/Waiting for the first sync/) < at1(/Server now running/), red.console);
      assert.equal((await read(red)).secrets, undefined);
      at.swap(of(1, { revision: '' }));
      await operator.acked((one) => one.revision === revision(1));
      assert.equal((await read(red)).metadata.version, 1);
    });

    test('secrets that come while it waits are there when flows start', async () => {
      const at = mounted({ '.spacesync/token': 'of-this-pod' });
      const starting = started({ mount: at.path, settings: { secretManager: { waitMs: 20_000 } } });
      // The first thing that the plugin does is to watch the mount; whenever this comes, it is seen or read.
      await new Promise((resolve) => setImmediate(resolve));
      at.swap(of(1));
      const red = await starting;
      await red.said(/at the start: version 1/);
    });

    test('where nothing is mounted it says so once, and waits for nothing', async () => {
      const red = await started({ mount: '/nowhere/at/all', settings: { secretManager: { waitMs: 60_000 } } });
      assert.equal((await read(red)).secrets, undefined);
      assert.equal(ours(red).length, 1);
      assert.match(ours(red)[0], /Nothing is mounted at \/nowhere\/at\/all/);
    });

    test('below 5.3.0 only the legacy node serves: SECRETS is its to write', async () => {
      const writing = { ...FLOWS[2], func: `global.set("SECRETS", { TOKEN: "of the legacy node" });${FLOWS[2].func}` };
      const flows = FLOWS.map((node) => node.id === 'read' ? writing : node);
      const at = mounted(of(1));
      const red = await started({ mount: at.path, flows, env: { FLOW_APP_VERSION: 'v5.2.9' } });
      assert.deepEqual(await read(red), { secrets: { TOKEN: 'of the legacy node' } });
      assert.match(ours(red).join('\n'), /^[^\n]*Flow App version v5\.2\.9 is below 5\.3\.0[^\n]*$/);
      assert.deepEqual(operator.acks, []);
    });

    test('a version below 5.3.0 that is told later has the plugin step back', async () => {
      const writing = { ...FLOWS[2], func: `global.set("SECRETS", { TOKEN: "of the legacy node" });${FLOWS[2].func}` };
      const at = mounted(of(1));
      const red = await started({ mount: at.path, flows: FLOWS.map((node) => node.id === 'read' ? writing : node) });
      assert.deepEqual((await read(red)).secrets, { TOKEN: 'the token of version 1' });
      at.swap(of(1, { 'flow-app-version': '5.2.0' }));
      await red.said(/Flow App version 5\.2\.0 is below 5\.3\.0/);
      assert.deepEqual(await read(red), { secrets: { TOKEN: 'of the legacy node' } });
    });
  });
}
