'use strict';

// Flows that hold legacy Secret Manager nodes, ours or an old package's, in a real Node-RED.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { after, afterEach, before, describe, test } = require('node:test');

const { KubeletVolume, delivered } = require('../kubelet-volume');
const { Operator, STATUS } = require('../operator');
const { NodeRed, PLUGIN } = require('./harness');
const { ITS, NAMES, installed, unpacked } = require('./old-package');

const TYPE = 'qibb-secret-manager';
const SET = '@spacesync/node-red-secret-manager/legacy-node';
const MODES = /** @type {const} */ (['nodes', 'flows', 'reload', 'full']);
const OURS = { TOKEN: 'the token of version 1' };

const MEMORY = {
  4: require.resolve('@node-red/runtime/lib/nodes/context/memory.js'),
  5: require.resolve('node-red-5/node_modules/@node-red/runtime/lib/nodes/context/memory.js'),
};

/** @param {object} [more] */
const legacy = (more = {}) => ({ id: 'legacy', type: TYPE, z: 'tab', x: 0, y: 0, autosync: '30m', syncOnSave: true, wires: [], ...more });

/** GET /read answers with what a Function node reads. */
const FLOWS = [
  { id: 'tab', type: 'tab', label: 'flow' },
  { id: 'in', type: 'http in', z: 'tab', x: 0, y: 0, url: '/read', method: 'get', wires: [['read']] },
  {
    id: 'read', type: 'function', z: 'tab', x: 0, y: 0, wires: [['out']],
    func: 'msg.payload = { secrets: global.get("SECRETS") }; return msg;',
    initialize: 'node.warn("at the start: " + (global.get("SECRETS_METADATA") || {}).version);',
  },
  { id: 'out', type: 'http response', z: 'tab', x: 0, y: 0, wires: [] },
];
const WITH = [...FLOWS, legacy()];

/** Something that each mode of a deploy has to do. @param {object[]} flows @param {string} mode */
const touched = (flows, mode) => flows.map((node) => (/** @type {any} */ (node).id === 'read' ? { ...node, name: mode } : node));

for (const runtime of /** @type {const} */ ([4, 5])) {
  describe(`Node-RED ${runtime}`, { concurrency: false }, () => {
    /** @type {Operator} */
    let operator;
    /** @type {(() => unknown)[]} */
    const undo = [];
    before(async () => { operator = await Operator.start(); });
    after(() => operator.close());
    afterEach(async () => {
      for (const one of undo.splice(0).reverse()) await one();
      operator.reset();
    });

    const of = (told = {}, version = 1) => delivered({ version, text: { TOKEN: `the token of version ${version}` }, told: { ...operator.told, ...told } });
    /**
     * npm reads also what a linked package was developed with: where it is to install something, the plugin is packed.
     * @param {string} version what the mount tells of the Flow App
     * @param {import('./harness').Options} [options]
     */
    const started = async (version, options = {}) => {
      const at = KubeletVolume.create();
      undo.push(() => at.remove());
      at.swap(of({ 'flow-app-version': version }));
      const red = await NodeRed.start({ runtime, flows: WITH, mount: at.path, ...options });
      undo.push(() => red.remove());
      return Object.assign(red, { at });
    };
    const folderOf = (/** @type {string} */ name) => {
      const folder = unpacked(name);
      undo.push(() => fs.rmSync(folder, { recursive: true }));
      return folder;
    };
    const read = async (/** @type {NodeRed} */ red) => (await red.request('/read')).json.secrets;
    const state = async (/** @type {NodeRed} */ red) => (await red.request('/secret-manager/state', { as: 'editor' })).json;
    const facts = async (/** @type {NodeRed} */ red) => {
      const { served, legacy: { count, ours, needed } } = await state(red);
      return { served, count, ours, needed };
    };
    /** Its node runs anew: what it wrote counts from here. @param {NodeRed} red @param {number} from */
    const wrote = (red, from) => red.said(/has written SECRETS 3 times/, { from });

    for (const name of NAMES) {
      test(`${name} from the start, from 5.3.0 on: it neither stops flows nor overwrites a value, in any deploy`, async () => {
        const red = await started('5.3.0', { files: installed(name) });
        await wrote(red, 0);
        assert.deepEqual(await read(red), OURS);
        assert.deepEqual(await facts(red), { served: true, count: 1, ours: false, needed: false });
        for (const mode of MODES) {
          const from = red.console.length;
          await red.deploy(touched(WITH, mode), mode);
          if (mode === 'full' || mode === 'reload') await wrote(red, from);
          assert.deepEqual(await read(red), OURS, mode);
        }
        assert.doesNotMatch(red.console, /already registered|missing types/i);
      });

      test(`${name} from the start, below 5.3.0: it serves, and is left alone`, async () => {
        const red = await started('5.2.9', { files: installed(name) });
        await wrote(red, 0);
        for (const mode of MODES) {
          assert.deepEqual(await read(red), ITS, mode);
          assert.deepEqual(await facts(red), { served: false, count: 1, ours: false, needed: true });
          await red.deploy(touched(WITH, mode), mode);
        }
        assert.deepEqual(operator.acks, []);
        assert.match(red.console, /5\.2\.9 is below 5\.3\.0: only the legacy Secret Manager node gives secrets/);
      });

      test(`${name} installed while flows run, from 5.3.0 on: it neither stops them nor overwrites a value`, async () => {
        const red = await started('5.3.0', { plugin: 'pack' });
        assert.deepEqual(await facts(red), { served: true, count: 1, ours: true, needed: false });
        await red.install(folderOf(name));
        assert.equal((await facts(red)).ours, false);
        for (const mode of MODES) {
          const from = red.console.length;
          await red.deploy(touched(WITH, mode), mode);
          if (mode === 'full' || mode === 'reload') await wrote(red, from);
          assert.deepEqual(await read(red), OURS, mode);
        }
        assert.doesNotMatch(red.console, /already registered|missing types/i);
      });

      test(`${name} installed while flows run, below 5.3.0: ours serves until its node does`, async () => {
        const red = await started('5.2.9', { plugin: 'pack' });
        assert.deepEqual(await facts(red), { served: true, count: 1, ours: true, needed: true });
        const { status, json } = await red.request('/nodes', { as: 'editor', method: 'POST', body: { module: folderOf(name) } });
        assert.deepEqual([status, json.nodes.map((/** @type {any} */ { err, types }) => [err, types])], [200, [[undefined, [TYPE]]]]);
        // A deploy that leaves our node alone leaves it serving.
        for (const mode of /** @type {const} */ (['nodes', 'nodes'])) {
          await red.deploy(touched(WITH, `${mode} ${Math.random()}`), mode);
          assert.deepEqual(await read(red), OURS);
          assert.deepEqual(await facts(red), { served: true, count: 1, ours: false, needed: true });
        }
        const from = red.console.length;
        await red.deploy(WITH, 'full');
        await wrote(red, from);
        assert.deepEqual(await read(red), ITS);
        assert.equal((await facts(red)).served, false);
        assert.doesNotMatch(red.console, /already registered|missing types/i);
      });
    }

    test('one that cannot be loaded stops no flows', async () => {
      const red = await started('5.3.0', { files: installed(NAMES[0], { broken: true }) });
      assert.deepEqual(await read(red), OURS);
      assert.match(red.console, /out of order/);
      assert.equal((await facts(red)).ours, true);
    });

    test('below 5.3.0 flows are served as long as they hold a node of ours that runs, in any deploy', async () => {
      const red = await started('5.2.9');
      await red.said(/at the start: 1/);
      await operator.acked((ack) => ack.legacyNodes === 1);
      const subflow = [
        { id: 'sub', type: 'subflow', name: 'sub', in: [], out: [] }, legacy({ z: 'sub' }),
        { id: 'use', type: 'subflow:sub', z: 'tab', x: 0, y: 0, wires: [] },
      ];
      const off = { id: 'off', type: 'tab', label: 'off', disabled: true };
      const cases = /** @type {[string, object[], boolean, number][]} */ ([
        ['none', FLOWS, false, 0],
        ['one', WITH, true, 1],
        ['disabled', [...FLOWS, legacy({ d: true })], false, 1],
        ['in a subflow', [...FLOWS, ...subflow], true, 1],
        ['in a subflow that is not used', [...FLOWS, ...subflow.slice(0, 2)], false, 1],
        ['two', [...WITH, legacy({ id: 'second' })], true, 2],
        ['on a disabled flow', [...FLOWS, off, legacy({ z: 'off' })], false, 1],
      ]);
      for (const mode of MODES.filter((one) => one !== 'reload')) {
        for (const [what, flows, served, count] of cases) {
          await red.deploy(touched(flows, `${mode}, ${what}`), mode);
          assert.deepEqual(await read(red), served ? OURS : undefined, `${mode}, ${what}`);
          assert.deepEqual(await facts(red), { served, count, ours: true, needed: true }, `${mode}, ${what}`);
        }
      }
      const warned = red.console.split('\n').filter((line) => line.includes('5.2.9 is below 5.3.0: flows are given secrets as soon as they hold'));
      assert.equal(warned.length, 4 + 3 + 3, 'once each time that flows are left without');
    });

    test('a version that changes while it runs: the plugin comes, and steps back where no node of ours is', async () => {
      const red = await started('5.2.9', { flows: FLOWS });
      assert.equal(await read(red), undefined);
      const waited = async (/** @type {boolean} */ served) => {
        const comms = await red.comms();
        await red.until(() => comms.frames.some((frame) => frame.includes(`"served":${served}`)), `a state with served ${served}`);
        comms.close();
      };
      red.at.swap(of({ 'flow-app-version': '5.3.0' }));
      await waited(true);
      assert.deepEqual(await read(red), OURS);
      red.at.swap(of({ 'flow-app-version': '5.2.9' }));
      await red.said(/5\.2\.9 is below 5\.3\.0[^]*5\.2\.9 is below 5\.3\.0/);
      assert.equal(await read(red), undefined);

      await red.deploy(WITH);
      assert.deepEqual(await read(red), OURS);
      const comms = await red.comms();
      red.at.swap(of({ 'flow-app-version': '5.3.0' }));
      await red.until(() => comms.frames.some((frame) => frame.includes('"needed":false')), 'a state with needed false');
      assert.deepEqual(await read(red), OURS);
      red.at.swap(of({ 'flow-app-version': '5.2.9' }));
      red.at.swap(of({ 'flow-app-version': '5.2.9' }, 2));
      await red.said(/Version 2 of the secrets/);
      assert.deepEqual(await read(red), { TOKEN: 'the token of version 2' });
      comms.close();
    });

    test('below 5.3.0 too it is kept from people, in a store of one’s own as well, and back again after it was not', async () => {
      const settingsSource = `
        const Memory = require(${JSON.stringify(MEMORY[runtime])});
        settings.contextStorage = { own: { module: (config) => Memory(config) } };`;
      const red = await started('5.2.9', { settingsSource });
      const shown = async () => (await red.request('/context/global', { as: 'reader' })).text;
      for (const flows of [WITH, FLOWS, WITH]) {
        await red.deploy(flows);
        assert.deepEqual(await read(red), flows === WITH ? OURS : undefined);
        const text = await shown();
        assert.ok(!text.includes(OURS.TOKEN) && text.includes('TOKEN') === (flows === WITH), text);
      }
    });

    test('an old package is refused from the moment that 5.3.0 is told', async () => {
      const red = await started('5.2.9', { files: installed(NAMES[1]) });
      await wrote(red, 0);
      red.at.swap(of({ 'flow-app-version': '5.3.0' }));
      await red.said(/They are read-only/);
      assert.deepEqual(await read(red), OURS);
    });

    test('what people see below the nodes, and that the settings of the first are told once', async () => {
      const red = await started('5.2.9', { flows: FLOWS });
      const comms = await red.comms();
      /** The last status of a node. @param {string} id */
      const shown = (id) => comms.frames.flatMap((frame) => [JSON.parse(frame)].flat()).findLast(({ topic }) => topic === `status/${id}`)?.data;
      const shows = (/** @type {string} */ id, /** @type {RegExp} */ text) => red.until(() => text.test(shown(id)?.text ?? ''), `${text} at ${id}`);
      const patches = () => operator.count('PATCH /v1/settings').map(({ body }) => body);
      operator.answers['PATCH /v1/settings'] = ({ body }) => {
        operator.status = { ...operator.status, autoSync: { value: body.autoSync ?? operator.status.autoSync.value, managedBy: null } };
        return { status: 200, body: {} };
      };

      await red.deploy([...WITH, legacy({ id: 'second', autosync: '24h', x: 200 })]);
      await shows('legacy', /^🆗 Synced · version 1$/);
      assert.deepEqual([shown('legacy').fill, shown('legacy').shape], ['green', 'dot']);
      await shows('second', /only one is needed/);
      assert.equal(shown('second').fill, 'yellow');
      await red.said(/Flows hold 2 Secret Manager nodes/);
      await red.said(/has set autoSync to 30m/);
      assert.deepEqual(patches(), [{ autoSync: '30m' }]);

      // Nothing differs: nothing is told, and nothing warned of again. (The last deploy is there to wait for.)
      await red.deploy([...WITH, legacy({ id: 'second', autosync: '24h', x: 200 })]);
      await red.deploy([...FLOWS, legacy({ autosync: '60m' })]);
      await red.said(/has set autoSync to 60m/);
      assert.deepEqual(patches(), [{ autoSync: '30m' }, { autoSync: '60m' }]);
      assert.equal(red.console.match(/Flows hold 2 Secret Manager nodes/g)?.length, 1);

      // A deploy starts the first anew and leaves the second alone: the first stays the first.
      const both = (/** @type {string} */ autosync) => [...FLOWS, legacy({ autosync }), legacy({ id: 'second', autosync: '24h', x: 200 })];
      await red.deploy(both('60m'));
      await red.deploy(both('1m'), 'nodes');
      await red.said(/has set autoSync to 1m/);
      await shows('legacy', /^🆗/);
      await shows('second', /only one is needed/);
      assert.deepEqual(patches(), ['30m', '60m', '1m'].map((autoSync) => ({ autoSync })));
      await red.deploy([...FLOWS, legacy({ id: 'second', autosync: '24h', x: 200 })], 'nodes');
      await red.said(/has set autoSync to 24h/);
      await shows('second', /^🆗/);

      operator.answers['PATCH /v1/settings'] = () => ({ status: 409, body: { reason: 'FieldOwned', owner: 'argocd-controller', detail: 'x' } });
      await red.deploy([...FLOWS, legacy({ autosync: '12h' })]);
      await shows('legacy', /^🆗 Synced · version 1 · settings are managed by argocd-controller$/);
      await red.deploy([...FLOWS, legacy({ autosync: '12h' })]);
      red.at.swap(of({ 'flow-app-version': '5.2.9' }, 2));
      await shows('legacy', /^🆗 Synced · version 2 · settings are managed by argocd-controller$/);
      assert.equal(patches().length, 5, 'not asked again');

      // What the operator says of the sync, while an editor is open.
      operator.status = { ...operator.status, conditions: [{ type: 'Synced', status: 'False', reason: 'SourceSealed', message: 'x', since: '2026-01-02T00:00:01Z' }] };
      await shows('legacy', /^version 2 · The Secret Manager is sealed/);
      operator.status = { ...operator.status, conditions: STATUS.conditions };
      await shows('legacy', /^🆗 Synced · version 2/);

      const { TOKEN: _, ...half } = of({ 'flow-app-version': '5.2.9' }, 3);
      red.at.swap(half);
      await shows('legacy', /^version 2, nothing newer can be read: SnapshotIncomplete/);

      const { told } = operator;
      red.at.swap(of({ ...told, 'flow-app-version': '5.3.0' }, 3));
      await red.until(() => JSON.stringify(shown('legacy')) === '{}', 'no status');
      comms.close();
    });

    test('below 5.3.0 a deploy asks for a sync once, where a node of ours is', async () => {
      const red = await started('5.2.9');
      for (const mode of MODES) {
        operator.asked.length = 0;
        await red.deploy(touched(WITH, mode), mode);
        await operator.wasAsked('POST /v1/sync');
      }
      await red.deploy(FLOWS);
      operator.asked.length = 0;
      await red.deploy(touched(FLOWS, 'without'), 'nodes');
      await red.deploy(WITH);
      await operator.wasAsked('POST /v1/sync');
      assert.deepEqual(operator.count('POST /v1/sync').map(({ body }) => body.trigger), ['save']);
    });

    test('from 5.3.0 on it is inert: no status, no request of its own', async () => {
      const red = await started('5.3.0', { flows: [...WITH, legacy({ id: 'second', autosync: '24h' })] });
      const comms = await red.comms();
      await operator.acked((ack) => ack.legacyNodes === 2);
      red.at.swap(of({ 'flow-app-version': '5.3.0' }, 2));
      await operator.acked((ack) => ack.revision.startsWith('2-'));
      assert.equal(comms.frames.filter((frame) => /status\/(?:legacy|second)/.test(frame)).length, 0);
      assert.deepEqual(operator.count('PATCH /v1/settings'), []);
      assert.doesNotMatch(red.console, /Only one is needed/);
      comms.close();
    });

    test('the palette: what is in use stays, what was disabled does not serve', async () => {
      const red = await started('5.3.0');
      const enable = (/** @type {boolean} */ enabled) => red.request(`/nodes/${SET}`, { as: 'editor', method: 'PUT', body: { enabled } });
      assert.deepEqual([(await enable(false)).json.code, (await facts(red)).ours], ['type_in_use', true]);
      await red.deploy(FLOWS);
      assert.equal((await enable(false)).status, 200);
      assert.equal((await facts(red)).ours, false);
      const from = red.console.length;
      await red.request('/flows', { as: 'editor', method: 'POST', body: WITH });
      await red.said(/Waiting for missing types[^]*qibb-secret-manager/, { from });
      await red.deploy(FLOWS);
      assert.equal((await enable(true)).status, 200);
      await red.deploy(WITH);
      assert.deepEqual(await read(red), OURS);
    });

    test('an old package that is disabled or removed leaves the type to ours', async () => {
      const red = await started('5.3.0', { flows: FLOWS, plugin: 'pack' });
      await red.install(folderOf(NAMES[1]));
      const ask = (/** @type {string} */ method, /** @type {object} */ body) => red.request(`/nodes/${NAMES[1]}`, { as: 'editor', method, body });
      const deployed = async () => {
        await red.deploy(WITH);
        const { ours } = await facts(red);
        const secrets = await read(red);
        await red.deploy(FLOWS);
        return { ours, secrets };
      };
      assert.deepEqual(await deployed(), { ours: false, secrets: OURS });
      assert.equal((await ask('PUT', { enabled: false })).status, 200);
      assert.deepEqual(await deployed(), { ours: true, secrets: OURS });
      assert.equal((await ask('PUT', { enabled: true })).status, 200);
      assert.deepEqual(await deployed(), { ours: false, secrets: OURS });
      assert.equal((await red.request(`/nodes/${NAMES[1]}`, { as: 'editor', method: 'DELETE' })).status, 204);
      assert.deepEqual(await deployed(), { ours: true, secrets: OURS });
    });

    test('ours, installed where flows wait for the type, starts them', async () => {
      for (const version of ['5.2.9', '5.3.0']) {
        const red = await started(version, { plugin: 'none' });
        assert.match(red.console, /Waiting for missing types/);
        await red.install(PLUGIN);
        await red.said(/Started flows/);
        assert.deepEqual(await read(red), OURS);
        assert.equal((await facts(red)).ours, true);
      }
    });

    test('ours, installed beside an old package that runs, leaves it its type', async () => {
      const red = await started('5.3.0', { plugin: 'none', files: installed(NAMES[0]) });
      await wrote(red, 0);
      assert.deepEqual(await read(red), ITS);
      await red.install(PLUGIN);
      await red.said(/They are read-only/);
      assert.deepEqual([await read(red), (await facts(red)).ours], [OURS, false]);
    });
  });
}
