'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const test = require('node:test');

const { Holder } = require('../../../src/holder');
const { Legacy } = require('../../../src/legacy');
const { Asked, settled } = require('../editor/parts');
const { linesOf, snapshotOf } = require('../parts');

/** Legacy nodes in flows, as Node-RED starts and closes them. @param {object} [standing] */
function flowsOf(standing = {}) {
  const client = new Asked();
  const { lines, log } = linesOf();
  const holder = new Holder();
  const here = { needed: true, served: true, protection: /** @type {const} */ ('memory-store'), operator: null, ...standing };
  const legacy = new Legacy({}, { type: 'old', holder, client, log, standing: () => here });
  legacy.hold({ ours: true, close() {} });
  /** @type {Map<string, any>} */
  const running = new Map();
  /** @param {string[]} ids those that are to run @param {string[]} [anew] those of them that are started anew */
  const deploy = (ids, anew = ids) => {
    const close = [...running.keys()].filter((id) => !ids.includes(id) || anew.includes(id));
    for (const id of close) {
      running.get(id).emit('close');
      running.delete(id);
    }
    legacy.starting(ids.map((id) => ({ id, type: 'old', z: 'tab' })));
    for (const id of ids.filter((one) => !running.has(one))) {
      const node = Object.assign(new EventEmitter(), { id, said: /** @type {any[]} */ ([]), status(/** @type {any} */ of) { this.said.push(of.text ?? ''); } });
      running.set(id, node);
      legacy.join(/** @type {any} */ (node), { autoSync: `of ${id}` });
    }
    legacy.started();
    legacy.look();
  };
  return { legacy, holder, here, client, lines, running, deploy };
}

test('flows have one from the moment that they are about to start it', () => {
  const { legacy, deploy } = flowsOf();
  assert.equal(legacy.present, false);
  legacy.starting([{ id: 'a', type: 'old', z: 'tab' }]);
  assert.equal(legacy.present, true);
  legacy.started();
  assert.equal(legacy.present, false, 'none has come');
  deploy(['a']);
  assert.equal(legacy.present, true);
  deploy([]);
  assert.equal(legacy.present, false);
});

test('another package’s node is none of ours', () => {
  const { legacy } = flowsOf();
  legacy.hold({ ours: false, close() {} });
  legacy.starting([{ id: 'a', type: 'old', z: 'tab' }]);
  assert.equal(legacy.present, false);
});

test('the first of the flows is the one that counts, whichever is started anew', async () => {
  const { client, running, deploy, lines } = flowsOf();
  deploy(['a', 'b']);
  deploy(['a', 'b'], ['a']);
  await client.answer({ status: 200, body: { autoSync: { value: 'of a' } } });
  assert.deepEqual([client.calls.length, lines], [1, ['warn legacy.second 2']]);
  assert.deepEqual([running.get('a').said, running.get('b').said], [['legacy.status.waiting'], ['legacy.status.second']]);
  deploy(['b'], []);
  assert.equal(running.get('b').said.at(-1), 'legacy.status.waiting');
  assert.equal(client.calls.length, 2);
});

test('a node says what is new, and nothing twice; from 5.3.0 on nothing at all', async () => {
  const { legacy, holder, here, client, running, deploy } = flowsOf();
  deploy(['a']);
  holder.load(snapshotOf({ version: 7, text: { a: '1' } }));
  legacy.look();
  assert.deepEqual(running.get('a').said, ['legacy.status.waiting', 'legacy.status.synced 7']);
  here.needed = false;
  legacy.look();
  legacy.look();
  assert.deepEqual(running.get('a').said.slice(2), ['']);

  const inert = flowsOf({ needed: false });
  inert.deploy(['a', 'b']);
  inert.holder.load(snapshotOf({ version: 7, text: { a: '1' } }));
  await settled();
  assert.deepEqual([inert.running.get('a').said, inert.client.calls, inert.lines], [[], [], []]);
  client.open.length = 0;
});

test('closed, it hears and gives nothing more', () => {
  const { legacy, holder, running, deploy } = flowsOf();
  let closed = 0;
  legacy.hold({ ours: true, close() { closed += 1; } });
  deploy(['a']);
  legacy.close();
  holder.load(snapshotOf({ version: 7, text: { a: '1' } }));
  assert.deepEqual([closed, running.get('a').said], [1, ['legacy.status.waiting']]);
});
