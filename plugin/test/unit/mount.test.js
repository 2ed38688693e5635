'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { Worker } = require('node:worker_threads');

const mount = require('../../src/mount');
const { KubeletVolume, delivered } = require('../kubelet-volume');

// Swaps some fifty times as fast as a kubelet can, and with every version other keys.
const SWAPPING = `
  const { parentPort, workerData: { helper, folder } } = require('node:worker_threads');
  const { KubeletVolume, delivered } = require(helper);
  const at = new KubeletVolume(folder);
  for (let version = 1; ; version += 1) {
    const text = Object.fromEntries(Array.from({ length: version % 2 ? 8 : 12 }, (_, n) => ['KEY_' + n, 'of ' + version]));
    at.swap(delivered({ version, text, told: { url: 'of ' + version, token: 'of ' + version } }));
    if (version === 1) parentPort.postMessage('ready');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
`;

/** @param {import('node:test').TestContext} t */
function volume(t) {
  const made = KubeletVolume.create();
  t.after(() => made.remove());
  return made;
}

/** @param {ReturnType<typeof mount.read>} reading */
const word = (reading) => reading.kind === 'broken' ? reading.problem.word : reading.kind;

test('a mount is absent, empty, or whole', (t) => {
  const at = volume(t);
  assert.equal(mount.read(path.join(at.path, 'nowhere')).kind, 'absent');
  assert.equal(mount.read(at.path).kind, 'empty');
  at.swap({ '.spacesync/token': 'abc', '.spacesync/revision': '' });
  assert.equal(mount.read(at.path).kind, 'empty', 'before the first sync only the pod\'s own files are there');
  at.swap(delivered({ text: { A: '1', '.hidden': '2' }, told: { token: 'abc' } }));
  const reading = mount.read(at.path);
  assert.equal(reading.kind, 'whole');
  assert.deepEqual(reading.snapshot.keys.map((key) => key.name), ['.hidden', 'A']);
});

test('what is broken is told in the contract\'s words', (t) => {
  const at = volume(t);
  const good = delivered({ text: { A: '1', B: '2' } });
  const { A, ...half } = good;
  at.swap(half);
  assert.equal(word(mount.read(at.path)), 'SnapshotIncomplete', A);
  at.swap({ A: '1' });
  assert.equal(word(mount.read(at.path)), 'SnapshotMissing');
  at.swap(good);
  const file = path.join(at.path, /** @type {string} */ (at.target()), 'A');
  fs.rmSync(file);
  fs.symlinkSync('A', file);
  assert.equal(word(mount.read(at.path)), 'SnapshotUnreadable');
  assert.equal(word(mount.read(path.join(at.path, '.spacesync.json'))), 'SnapshotUnreadable', 'a file is no mount');
});

test('whatever the kubelet does meanwhile, all that is read is of one moment', async (t) => {
  const at = volume(t);
  const swapping = new Worker(SWAPPING, { eval: true, workerData: { helper: require.resolve('../kubelet-volume'), folder: at.path } });
  try {
    await once(swapping, 'message');
    const versions = new Set();
    for (const end = Date.now() + 10_000; versions.size < 40 && Date.now() < end;) {
      const reading = mount.read(at.path);
      assert.equal(word(reading), 'whole');
      const { snapshot } = /** @type {any} */ (reading);
      versions.add(snapshot.version);
      for (const { name } of snapshot.keys) assert.equal(snapshot.text(name), `of ${snapshot.version}`);
      const [url, token] = mount.toldTogether(at.path, ['url', 'token']);
      assert.ok(url !== null && url === token, `${url} and ${token}`);
    }
    assert.equal(versions.size, 40);
  } finally {
    await swapping.terminate();
  }
});

test('what the pod is told is trimmed, and nothing where it was not told', (t) => {
  const at = volume(t);
  assert.equal(mount.told(at.path, 'revision'), null);
  at.swap({ '.spacesync/revision': '', '.spacesync/url': ' https://x:1/ \n' });
  assert.deepEqual(mount.toldTogether(at.path, ['revision', 'url', 'token']), [null, 'https://x:1/', null]);
});
