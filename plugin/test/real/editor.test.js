'use strict';

// What editors ask of a real Node-RED and are told by it, with someone in place of the operator.

const assert = require('node:assert/strict');
const { after, afterEach, before, describe, test } = require('node:test');

const { KubeletVolume, delivered } = require('../kubelet-volume');
const { Operator, STATUS } = require('../operator');
const { NodeRed } = require('./harness');
const { version: PLUGIN_VERSION } = require('../../package.json');

const revision = (/** @type {number} */ version) => `${version}-0123456789abcdef`;
const CANARY = 'canary-6b1f0d93';

for (const runtime of /** @type {const} */ ([4, 5])) {
  describe(`Node-RED ${runtime}`, { concurrency: false }, () => {
    /** @type {Operator} */
    let operator;
    /** @type {KubeletVolume} */
    let at;
    /** @type {NodeRed} */
    let red;
    const of = (/** @type {number} */ version) => delivered({
      version, text: { TOKEN: `${CANARY} of version ${version}`, fixed: `${CANARY} that stays` }, json: { smtp: { password: CANARY } }, told: operator.told,
    });
    /** The Secret and the word of the operator, as after a sync that brought something. @param {number} version */
    const deliver = (version) => {
      operator.status = { ...operator.status, version, revision: revision(version) };
      at.swap(of(version));
    };
    before(async () => {
      operator = await Operator.start();
      at = KubeletVolume.create();
      at.swap(of(1));
      red = await NodeRed.start({ runtime, mount: at.path });
    });
    after(async () => {
      await red?.remove();
      at?.remove();
      operator?.close();
    });
    afterEach(() => operator.reset());

    const ask = (/** @type {string} */ place, /** @type {object} */ options = {}) => red.request(`/secret-manager/${place}`, { as: 'editor', ...options });
    const post = (/** @type {object} */ options = {}) => ask('sync', { method: 'POST', body: {}, ...options });
    /** What the editors were told, in order. @param {{frames: string[]}} comms @param {string} topic */
    const told = ({ frames }, topic) => frames.flatMap((frame) => [JSON.parse(frame)].flat())
      .filter((one) => one.topic === `secret-manager/${topic}`).map((one) => one.data);

    test('who may ask what is for the server to say', async () => {
      for (const [place, method, reader] of /** @type {const} */ ([['state', 'GET', 200], ['keys', 'GET', 200], ['sync', 'POST', 401], ['settings', 'PATCH', 401]])) {
        const body = method === 'GET' ? undefined : {};
        const got = await Promise.all(['reader', undefined].map((as) => ask(place, { as, method, body })));
        assert.deepEqual(got.map(({ status }) => status), [reader, 401], place);
      }
      assert.deepEqual(operator.count('POST /v1/sync'), []);
    });

    test('the state, and the keys with their ETag', async () => {
      const { status, json } = await ask('state', { as: 'reader' });
      assert.equal(status, 200);
      const { loadedAt, ...snapshot } = json.snapshot;
      assert.ok(Date.parse(loadedAt) <= Date.now());
      assert.deepEqual(snapshot, {
        state: 'loaded', version: 1, revision: revision(1), staleSince: null, problem: null, count: 3,
        createdAt: STATUS.createdAt, updatedAt: STATUS.updatedAt, issuedAt: STATUS.issuedAt, space: 'newsroom-dev',
      });
      const { plugin, served, flowAppVersion, protection, legacy, saves } = json;
      assert.deepEqual({ plugin, served, flowAppVersion, protection, legacy, saves }, {
        plugin: PLUGIN_VERSION, served: true, flowAppVersion: null, protection: 'memory-store',
        legacy: { type: 'qibb-secret-manager', count: 0 }, saves: { pending: false },
      });

      const keys = await ask('keys', { as: 'reader' });
      assert.deepEqual(keys.json, {
        version: 1, revision: revision(1), last: { added: [], changed: [], removed: [], at: null },
        keys: [{ name: 'TOKEN', format: 'text' }, { name: 'fixed', format: 'text' }, { name: 'smtp', format: 'json' }],
      });
      const etag = keys.headers.get('etag') ?? '';
      assert.equal(etag, `"${revision(1)}"`);
      assert.deepEqual([(await ask('keys', { headers: { 'if-none-match': etag } })).status, (await ask('keys', { headers: { 'if-none-match': '"0-0"' } })).status], [304, 200]);
    });

    test('the operator is asked while an editor is open, and a swap is told at once', async () => {
      const comms = await red.comms('reader');
      try {
        await operator.wasAsked('GET /v1/status');
        await red.until(() => told(comms, 'state').some((state) => state.operator.reachable), 'a state with the operator');
        const swapped = performance.now();
        deliver(2);
        await red.until(() => told(comms, 'swap').length > 0, 'a swap');
        const took = performance.now() - swapped;
        assert.deepEqual(told(comms, 'swap'), [{ version: 2, revision: revision(2), count: 3, added: 0, changed: 1, removed: 0 }]);
        assert.ok(took < 300, `${took} ms`);
        await red.until(() => told(comms, 'state').some((state) => state.operator.status?.version === 2), 'the operator\'s new status');
        assert.deepEqual((await ask('keys')).json.last.changed, ['TOKEN']);
        assert.ok(operator.count('GET /v1/status').some(({ headers }) => headers['if-none-match'] !== undefined));
        assert.ok(!comms.text().includes(CANARY) && !comms.text().includes('TOKEN'));
      } finally {
        comms.close();
      }
    });

    test('Sync now ends where flows read what the operator brought', async () => {
      const comms = await red.comms();
      try {
        operator.answers['POST /v1/sync'] = () => {
          operator.status = { ...operator.status, version: 3, revision: revision(3) };
          setTimeout(() => at.swap(of(3)), 200);
          return { status: 200, body: operator.done({ changed: true }) };
        };
        const { status, json } = await post();
        assert.deepEqual([status, json], [200, { outcome: 'loaded', version: 3 }]);
        assert.deepEqual((await operator.wasAsked('POST /v1/sync')).body, { trigger: 'manual', wait: 20 });
        await red.until(() => told(comms, 'sync').some((one) => one.step === 'done'), 'the end of the progress');
        assert.deepEqual(told(comms, 'sync').map((one) => one.step), ['asked', 'checking', 'loading', 'done']);
      } finally {
        comms.close();
      }
    });
  });
}
