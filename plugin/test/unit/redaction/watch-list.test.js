'use strict';

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { mock, test } = require('node:test');
const { WatchList } = require('../../../src/redaction/watch-list');
const { snapshotOf } = require('./snapshots');

const VALUES = Array.from({ length: 9 }, (_, i) => `value-number-${i}`);

/** A holder that swaps as the plugin's does. */
class Holder extends EventEmitter {
  current = null;
  swap(snapshot) {
    const previous = this.current;
    this.current = snapshot;
    this.emit('swap', snapshot, previous, { added: [], changed: [], removed: [] });
  }
}

const known = (watch) => VALUES.filter((value) => watch.redactor.redact(value) !== value).map((value) => Number(value.at(-1)));

test('a value is known as soon as flows can read it, before anybody else hears of the swap', () => {
  const holder = new Holder();
  let heard;
  let watch = null;
  holder.on('swap', () => { heard = known(watch); });
  watch = new WatchList(holder);
  assert.deepEqual(known(watch), []);
  holder.swap(snapshotOf({ key: VALUES[0] }));
  assert.deepEqual(heard, [0]);
  assert.deepEqual(known(new WatchList(holder)), [0], 'also one that comes later');
  watch.close();
});

test('replaced values are known for a while, and no longer', () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const holder = new Holder();
  const watch = new WatchList(holder, 1000);
  holder.swap(snapshotOf({ key: VALUES[0], same: VALUES[8] }));
  holder.swap(snapshotOf({ key: VALUES[1], same: VALUES[8] }));
  mock.timers.tick(600);
  holder.swap(snapshotOf({ key: VALUES[2], same: VALUES[8] }));
  assert.deepEqual(known(watch), [0, 1, 2, 8]);
  mock.timers.tick(401);
  assert.deepEqual(known(watch), [1, 2, 8]);
  mock.timers.tick(600);
  assert.deepEqual(known(watch), [2, 8]);
  mock.timers.reset();
  watch.close();
});

test('a space that changes all the time keeps only some of its past', () => {
  const holder = new Holder();
  const watch = new WatchList(holder);
  for (const value of VALUES) holder.swap(snapshotOf({ key: value }));
  assert.deepEqual(known(watch), [4, 5, 6, 7, 8]);
  watch.close();
});

test('closed, it forgets all and hears nothing', () => {
  const holder = new Holder();
  const watch = new WatchList(holder);
  holder.swap(snapshotOf({ key: VALUES[0] }));
  watch.close();
  assert.deepEqual(known(watch), []);
  holder.swap(snapshotOf({ key: VALUES[1] }));
  assert.deepEqual(known(watch), []);
  assert.equal(holder.listenerCount('swap'), 0);
});
