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
    let savesAtStart = NaN;
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
      await operator.acked((ack) => ack.legacyNodes === 0); // Said after the `runtime-deploy` of the start.
      savesAtStart = operator.count('POST /v1/sync').length;
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
        legacy: { type: 'qibb-secret-manager', count: 0, ours: true, needed: false }, saves: { pending: false },
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

    test('the operator is asked while an editor is open, and a swap is told to all that are, at once', async () => {
      const editors = [await red.comms('reader'), await red.comms('editor')];
      try {
        await operator.wasAsked('GET /v1/status');
        for (const comms of editors) await red.until(() => told(comms, 'state').some((state) => state.operator.reachable), 'a state with the operator');
        const swapped = performance.now();
        deliver(2);
        for (const comms of editors) await red.until(() => told(comms, 'swap').length > 0, 'a swap');
        const took = performance.now() - swapped;
        assert.ok(took < 300, `${took} ms`);
        for (const comms of editors) {
          assert.deepEqual(told(comms, 'swap'), [{ version: 2, revision: revision(2), count: 3, added: 0, changed: 1, removed: 0 }]);
          await red.until(() => told(comms, 'state').some((state) => state.operator.status?.version === 2), 'the operator\'s new status');
          assert.ok(!comms.text().includes(CANARY) && !comms.text().includes('TOKEN'));
        }
        assert.deepEqual((await ask('keys')).json.last.changed, ['TOKEN']);
        assert.ok(operator.count('GET /v1/status').some(({ headers }) => headers['if-none-match'] !== undefined));
      } finally {
        for (const comms of editors) comms.close();
      }
    });

    test('Sync now ends where flows read what the operator brought', async () => {
      const comms = await red.comms();
      try {
        operator.answers['POST /v1/sync'] = () => {
          setTimeout(() => deliver(3), 200);
          return { status: 200, body: operator.done({ version: 3, revision: revision(3), changed: true }) };
        };
        const ends = await Promise.all([post(), post(), post()]);
        for (const { status, json } of ends) assert.deepEqual([status, json], [200, { outcome: 'loaded', version: 3 }]);
        assert.deepEqual(operator.count('POST /v1/sync').map(({ body }) => body), [{ trigger: 'manual', wait: 20 }], 'who comes later joins');
        await red.until(() => told(comms, 'sync').some(({ step }) => step === 'done'), 'the end of the progress');
        assert.deepEqual(told(comms, 'sync').map(({ step }) => step), ['asked', 'checking', 'loading', 'done']);
        assert.deepEqual(told(comms, 'sync').at(-1).end, { outcome: 'loaded', version: 3 });
      } finally {
        comms.close();
      }
    });

    test('or says that there is nothing newer, that it is suspended, or what to do', async () => {
      const { version } = (await ask('state')).json.snapshot;
      const now = { version, revision: revision(version) };
      const table = [
        [{ status: 200, body: operator.done({ ...now, changed: false }) }, 200, { outcome: 'newest', version, checkedAt: '2026-01-02T00:00:03Z' }],
        [{ status: 202, body: { state: 'suspended' } }, 200, { outcome: 'suspended' }],
        [{ status: 200, body: operator.done({ ...now, result: 'SourceSealed', message: 'central is sealed' }) }, 502, { outcome: 'error', reason: 'SourceSealed', message: 'central is sealed' }],
        [{ status: 409, body: { status: 409, reason: 'NoSync', detail: 'make a sync' } }, 409, { outcome: 'error', reason: 'NoSync', message: 'make a sync' }],
        [{ status: 401, body: { status: 401, reason: 'PodGone', detail: 'the pod is gone' } }, 502, { outcome: 'error', reason: 'PodGone', message: 'the pod is gone' }],
      ];
      for (const [answer, status, end] of table) {
        operator.answers['POST /v1/sync'] = () => /** @type {import('../operator').Answer} */ (answer);
        const got = await post();
        assert.deepEqual([got.status, got.json], [status, end]);
      }
      operator.answers['POST /v1/sync'] = () => ({ status: 200, body: 'of something else' });
      const { status, json: { outcome, reason, message } } = await post();
      assert.deepEqual([status, outcome, reason], [502, 'error', 'Malformed']);
      assert.match(message, /cannot be read \(status 200\)\. Ask your platform team/);
    });

    test('settings are the operator\'s to take or to refuse', async () => {
      const patch = (/** @type {object} */ body) => ask('settings', { method: 'PATCH', body });
      const settings = { autoSync: { value: '30m', managedBy: null }, syncOnSave: { value: true, managedBy: null } };
      operator.answers['PATCH /v1/settings'] = () => ({ status: 200, body: settings });
      assert.deepEqual((await patch({ autoSync: '30m', syncOnSave: null, space: 'another' })).json, settings);
      assert.deepEqual(operator.count('PATCH /v1/settings')[0].body, { autoSync: '30m', syncOnSave: null });

      const refusal = { type: 'https://spacesync.dev/problems/field-owned', title: 'the setting belongs to somebody else', status: 409, reason: 'FieldOwned', detail: 'change it there', field: 'autoSync', owner: 'argocd-controller' };
      operator.answers['PATCH /v1/settings'] = () => ({ status: 409, body: refusal });
      const refused = await patch({ autoSync: '1m' });
      assert.deepEqual([refused.status, refused.json], [409, refusal]);
      assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
    });

    test('each deploy is one save, in whatever mode and by whichever API, and the start was none', async () => {
      const saves = () => operator.count('POST /v1/sync');
      const tab = { id: 'tab', type: 'tab', label: 'flow' };
      const comment = (/** @type {string} */ name) => [tab, { id: 'comment', type: 'comment', z: 'tab', name, wires: [] }];
      const flow = (/** @type {string} */ method, /** @type {string} */ place, /** @type {unknown} */ body) => red.request(place, { as: 'editor', method, body });
      const flows = (/** @type {object[]} */ body, /** @type {string} */ type) =>
        red.request('/flows', { as: 'editor', method: 'POST', body, headers: { 'Node-RED-Deployment-Type': type } });
      let id = '';
      const deploys = {
        full: () => flows(comment('a'), 'full'),
        'full, nothing changed': () => flows(comment('a'), 'full'),
        'modified flows': () => flows(comment('b'), 'flows'),
        'modified nodes': () => flows(comment('c'), 'nodes'),
        'modified nodes, nothing changed': () => flows(comment('c'), 'nodes'),
        restart: () => flows([], 'reload'),
        'an unknown type': () => flows([...comment('d'), { id: 'who', type: 'nobody-knows', z: 'tab', wires: [] }], 'full'),
        'without it': () => flows(comment('d'), 'full'),
        'POST /flow': async () => {
          const got = await flow('POST', '/flow', { label: 'one more', nodes: [] });
          id = got.json.id;
          return got;
        },
        'PUT /flow': () => flow('PUT', `/flow/${id}`, { id, label: 'one more', nodes: [], disabled: true }),
        'DELETE /flow': () => flow('DELETE', `/flow/${id}`, undefined),
      };
      let count = 0;
      assert.deepEqual([savesAtStart, saves().length], [0, 0]);
      for (const [name, deploy] of Object.entries(deploys)) {
        const { status, text } = await deploy();
        assert.ok(status < 300, `${name}: ${status} ${text}`);
        const { body } = await operator.wasAsked('POST /v1/sync', count += 1);
        assert.deepEqual(body, { trigger: 'save', wait: 30 }, name);
        assert.equal(saves().length, count, name);
      }
    });

    test('deploys while a request is under way become one more', async () => {
      let answer = () => {};
      const held = new Promise((resolve) => { answer = () => resolve({ status: 200, body: operator.done() }); });
      operator.answers['POST /v1/sync'] = () => /** @type {Promise<any>} */ (held);
      await red.deploy([]);
      await operator.wasAsked('POST /v1/sync');
      for (let i = 0; i < 3; i += 1) await red.deploy([]);
      assert.equal(operator.count('POST /v1/sync').length, 1);
      answer();
      await operator.wasAsked('POST /v1/sync', 2);
      await red.deploy([]);
      await operator.wasAsked('POST /v1/sync', 3);
      assert.equal(operator.count('POST /v1/sync').length, 3);
    });

    test('the operator is away and comes back: deploys go on, one request is kept, and editors are told', async () => {
      const comms = await red.comms();
      try {
        await operator.wasAsked('GET /v1/status');
        await operator.down();
        const from = red.console.length;
        const started = performance.now();
        await red.deploy([]);
        await red.deploy([]);
        assert.ok(performance.now() - started < 5000);
        await red.said(/The operator cannot be asked to sync after this deploy: Unreachable \(ECONNREFUSED\)/, { from });
        await red.until(() => told(comms, 'state').some(({ operator: { reachable }, saves }) => reachable === false && saves.pending), 'a state without the operator');
        const state = (await ask('state')).json;
        assert.deepEqual([state.snapshot.state, state.operator.problem, state.operator.status.sync], ['loaded', 'Unreachable', 'secrets'], 'what was known stays');

        const refused = await post();
        assert.deepEqual([refused.status, refused.json.outcome, refused.json.reason], [502, 'error', 'Unreachable']);
        assert.match(refused.json.message, /Flows run on .* Try again/);
        assert.equal((await ask('settings', { method: 'PATCH', body: { syncOnSave: false } })).json.reason, 'Unreachable');

        operator.asked.length = 0;
        await operator.up();
        await operator.wasAsked('POST /v1/sync');
        await red.said(/The operator has heard of the last deploy/, { from });
        await red.until(() => { const last = told(comms, 'state').at(-1); return last.operator.reachable && !last.saves.pending; }, 'a state with the operator');
        assert.deepEqual(operator.count('POST /v1/sync').map(({ body }) => body.trigger), ['save']);
        assert.equal(red.console.slice(from).split('cannot be asked to sync').length, 2, 'one line');
      } finally {
        comms.close();
      }
    });

    test('no value in any answer, frame or line', async () => {
      const comms = await red.comms();
      try {
        deliver(9);
        await red.until(() => told(comms, 'swap').length > 0, 'a swap');
        operator.answers['PATCH /v1/settings'] = () => ({ status: 200, body: {} });
        operator.answers['POST /v1/sync'] = () => ({ status: 200, body: operator.done() });
        const answers = await Promise.all([ask('state'), ask('keys'), post(), ask('settings', { method: 'PATCH', body: { syncOnSave: true } })]);
        assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200]);
        await red.until(() => told(comms, 'sync').some(({ step }) => step === 'done'), 'the end');
        const all = [...answers.map(({ text, headers }) => text + JSON.stringify([...headers])), comms.text(), red.console].join('\n');
        assert.ok(!all.includes(CANARY));
        const names = [answers[0].text, comms.text()].join('\n');
        for (const name of ['TOKEN', 'fixed', 'smtp']) assert.ok(!names.includes(name), name);
      } finally {
        comms.close();
      }
    });

    test('the operator is left alone when no editor is open', async () => {
      const own = await Operator.start();
      const there = KubeletVolume.create();
      there.swap(delivered({ text: { TOKEN: CANARY }, told: own.told }));
      const alone = await NodeRed.start({ runtime, mount: there.path });
      try {
        await own.acked((ack) => ack.legacyNodes === 0);
        assert.deepEqual(own.count('GET /v1/status'), []);
        const comms = await alone.comms('reader');
        await own.wasAsked('GET /v1/status', 2);
        comms.close();
        // The socket's end is heard within a few ms; after that nothing is asked, though it was due after 1, 2 and 5 s.
        await new Promise((resolve) => setTimeout(resolve, 300));
        own.asked.length = 0;
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        assert.deepEqual(own.count('GET /v1/status'), []);
      } finally {
        await alone.remove();
        there.remove();
        own.close();
      }
    });

    test('below 5.3.0 editors are told who serves, and a deploy is nothing to it', async () => {
      const legacy = await NodeRed.start({ runtime, mount: at.path, env: { FLOW_APP_VERSION: '5.2.9' } });
      try {
        const { json } = await legacy.request('/secret-manager/state', { as: 'reader' });
        assert.deepEqual([json.served, json.flowAppVersion, json.snapshot.count], [false, '5.2.9', 0]);
        const refused = await legacy.request('/secret-manager/sync', { as: 'editor', method: 'POST', body: {} });
        assert.deepEqual([refused.status, refused.json.reason], [409, 'LegacyNodeServes']);
        await legacy.deploy([]);
        await operator.wasAsked('GET /v1/status');
        assert.deepEqual(operator.count('POST /v1/sync'), []);
      } finally {
        await legacy.remove();
      }
    });

    test('installed at run time, its first deploy is a save; removed, nothing of it answers', async () => {
      const bare = await NodeRed.start({ runtime, mount: at.path, plugin: 'none' });
      try {
        await bare.install();
        assert.equal((await bare.request('/secret-manager/state', { as: 'reader' })).json.snapshot.state, 'loaded');
        await operator.wasAsked('GET /v1/status');
        await bare.deploy([]);
        assert.equal((await operator.wasAsked('POST /v1/sync')).body.trigger, 'save');
        const removed = await bare.request('/nodes/@spacesync/node-red-secret-manager', { as: 'editor', method: 'DELETE' });
        assert.equal(removed.status, 204, removed.text);
        assert.equal((await bare.request('/secret-manager/state', { as: 'reader' })).status, 404);
        await bare.deploy([]);
        assert.equal(operator.count('POST /v1/sync').length, 1);
      } finally {
        await bare.remove();
      }
    });
  });
}
