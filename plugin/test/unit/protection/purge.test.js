'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, describe, it } = require('node:test');
const { util } = require('@node-red/util');
const localfilesystem = require('@node-red/runtime/lib/nodes/context/localfilesystem');

const { Guard } = require('../../../src/protection/guard');
const { purge } = require('../../../src/protection/purge');
const { Names } = require('../../../src/reading/names');

const ROOT = fs.mkdtempSync(path.join(os.tmpdir(), 'spacesync-purge-'));
after(() => fs.rmSync(ROOT, { recursive: true }));

/** A guarded file store that finds this on its disk when it opens. */
function onDisk(name, config, content) {
  const dir = path.join(ROOT, name);
  const file = path.join(dir, 'context', 'global', 'global.json');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, JSON.stringify(content));
  let removed;
  const guard = new Guard(localfilesystem({ dir, ...config }), {
    names: new Names(util.normalisePropertyExpression),
    answer: () => 'served',
    listed: () => false,
    refuse: () => assert.fail('the purge is no write of a flow'),
    remember: (callback) => callback,
    opened: async (opened) => { removed = await purge(opened); },
  });
  return { store: guard.mount(), guard, read: () => JSON.parse(fs.readFileSync(file, 'utf8')), removed: () => removed, file };
}

const STALE = { SECRETS: { token: 'left on disk' }, SECRETS_METADATA: { version: 3 }, mine: [1], SECRETS_OF_MINE: 2 };

for (const [name, config] of [['a cached file store', { cache: true, flushInterval: 3600 }], ['a file store without a cache', { cache: false }]]) {
  describe(name, () => {
    it('is rid of what an older version left, also on disk, as soon as it is open', async () => {
      const { store, guard, read, removed } = onDisk(name, config, STALE);
      await store.open();
      assert.deepEqual(removed(), ['SECRETS', 'SECRETS_METADATA']);
      assert.deepEqual(read(), { mine: [1], SECRETS_OF_MINE: 2 });
      const behind = await new Promise((resolve) => guard.stock.get('global', 'SECRETS', (error, value) => resolve(value)));
      assert.equal(behind, undefined);
      await store.close();
      assert.deepEqual(read(), { mine: [1], SECRETS_OF_MINE: 2 });
    });

    it('is not written when there is nothing to remove', async () => {
      const { store, file, removed } = onDisk(`${name}, clean`, config, { mine: 1 });
      const before = fs.statSync(file).ino;
      await store.open();
      await store.close();
      assert.deepEqual(removed(), []);
      assert.equal(fs.statSync(file).ino, before);
    });
  });
}
