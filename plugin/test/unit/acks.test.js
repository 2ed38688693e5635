'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { Acks, due } = require('../../src/acks');
const { NoAnswer } = require('../../src/client');
const { Holder } = require('../../src/holder');
const { linesOf, snapshotOf } = require('./parts');

const RUNTIME = { name: 'node-red', version: '5.0.7', plugin: '0.1.0', protection: 'context-store' };
const [R1, R2, R3] = [1, 2, 3].map((version) => `${version}-0123456789abcdef`);

/** @param {...number} versions as they were read one after the other */
function holding(...versions) {
  const holder = new Holder();
  for (const version of versions) holder.load(snapshotOf({ version }));
  return holder;
}

describe('what is acknowledged', () => {
  /**
   * @param {Holder} holder
   * @param {string | null} told
   */
  const said = (holder, told, protection = RUNTIME.protection) => {
    const ack = due({ holder, told, runtime: { ...RUNTIME, protection }, legacyNodes: null });
    return ack === null ? null : [ack.revision, ack.error].filter(Boolean).join(' ');
  };
  const broken = (/** @type {Holder} */ holder, /** @type {any} */ word, /** @type {string | null} */ revision = null) => {
    holder.keep(word, revision);
    return holder;
  };

  test('the revision inside the snapshot that flows read, with what runs it', () => {
    assert.deepEqual(due({ holder: holding(1), told: R1, runtime: RUNTIME, legacyNodes: 0 }), { revision: R1, runtime: RUNTIME, legacyNodes: 0 });
    assert.deepEqual(due({ holder: holding(1), told: null, runtime: RUNTIME, legacyNodes: null }), { revision: R1, runtime: RUNTIME });
  });

  test('nothing, while the annotation is new and the snapshot old', () => {
    assert.equal(said(holding(1), R2), null);
    assert.equal(said(holding(1, 2), R3), null);
    assert.equal(said(broken(holding(1), 'SnapshotIncomplete', R1), R2), null, 'nor that the old one is broken');
  });

  test('what is read is said also when the annotation comes later', () => {
    assert.equal(said(holding(1, 2), R1), R2);
  });

  test('nothing, before anything was found or told', () => {
    assert.equal(said(new Holder(), R1), null);
    assert.equal(said(broken(new Holder(), 'SnapshotMissing'), null), null);
  });

  test('what could not be loaded, by the damaged files\' word, else as told', () => {
    assert.equal(said(broken(new Holder(), 'SnapshotMissing'), R1), `${R1} SnapshotMissing`);
    assert.equal(said(broken(new Holder(), 'SnapshotIncomplete', R1), null), `${R1} SnapshotIncomplete`);
    assert.equal(said(broken(holding(1), 'SnapshotMalformed', R2), R2), `${R2} SnapshotMalformed`);
    assert.equal(said(broken(holding(1), 'SnapshotUnreadable'), R2), `${R2} SnapshotUnreadable`);
  });

  test('what flows read is what they were told: then it is loaded, whatever happened to the files since', () => {
    assert.equal(said(broken(holding(1), 'SnapshotMissing'), R1), R1);
  });

  test('where it cannot be protected it is not loaded', () => {
    assert.equal(said(holding(1), R1, 'none'), `${R1} ProtectionUnavailable`);
  });
});

describe('how it is acknowledged', () => {
  /**
   * @param {import('node:test').TestContext} t
   * @param {...number} versions
   */
  function acknowledging(t, ...versions) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const holder = holding(...versions);
    const standing = { holder, told: /** @type {string | null} */ (null), runtime: { ...RUNTIME }, legacyNodes: /** @type {number | null} */ (null) };
    /** @type {any[]} */
    const sent = [];
    const operator = { answer: /** @type {() => any} */ (() => ({ status: 204, body: null, retryAfterMs: null })) };
    const client = { call: async (/** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ { body }) => {
      assert.equal(`${method} ${path}`, 'POST /v1/acks');
      sent.push(body);
      return operator.answer();
    } };
    const { lines, log } = linesOf();
    const acks = new Acks({ standing: () => standing, client, log, random: () => 1 });
    const settled = () => new Promise(setImmediate);
    const look = async (/** @type {any} */ what) => {
      acks.look(what);
      await settled();
    };
    /** The time runs, in small steps, so that what is awaited between two timers is not left out. */
    const pass = async (/** @type {number} */ ms, step = 250) => {
      for (let at = 0; at < ms; at += step) {
        t.mock.timers.tick(step);
        await settled();
      }
    };
    return { acks, holder, standing, sent, operator, lines, look, pass };
  }
  const away = () => { throw new NoAnswer('Unreachable', 'ECONNREFUSED'); };
  const refused = (/** @type {number} */ status, retryAfterMs = null, reason = 'Why') => () => ({ status, body: { reason }, retryAfterMs });

  test('once, and again only when something of it moves', async (t) => {
    const { holder, standing, sent, look, pass } = acknowledging(t, 1);
    await look();
    await look({ swapped: true });
    await pass(100_000, 10_000);
    assert.equal(sent.length, 1);
    standing.legacyNodes = 3;
    await look();
    standing.runtime = { ...RUNTIME, protection: 'memory-store' };
    await look();
    holder.load(snapshotOf({ version: 2 }));
    await look();
    assert.deepEqual(sent.map((ack) => [ack.revision, ack.legacyNodes, ack.runtime.protection]), [
      [R1, undefined, 'context-store'], [R1, 3, 'context-store'], [R1, 3, 'memory-store'], [R2, 3, 'memory-store'],
    ]);
  });

  test('until it is taken, ever more seldom and for ever; the log has one line at the start and one at the end', async (t) => {
    const { sent, operator, lines, look, pass } = acknowledging(t, 1);
    operator.answer = away;
    await look();
    /** @type {number[]} */
    const gaps = [];
    for (let since = 0, seen = sent.length; gaps.length < 10; since += 250) {
      if (sent.length > seen) {
        gaps.push(since);
        since = 0;
        seen = sent.length;
      }
      await pass(250);
    }
    assert.deepEqual(gaps, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert.deepEqual(lines, ['warn acks.away Unreachable (ECONNREFUSED)']);
    operator.answer = () => ({ status: 204, body: null, retryAfterMs: null });
    await pass(30_000);
    const said = sent.length;
    await pass(120_000, 10_000);
    assert.equal(sent.length, said);
    assert.deepEqual(lines.slice(1), ['info acks.back']);
  });

  test('a hundred pods do not come back together', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const delays = new Set();
    t.mock.method(globalThis, 'setTimeout', (/** @type {any} */ _, /** @type {number} */ ms) => {
      delays.add(ms);
      return { unref() {} };
    });
    const { log } = linesOf();
    for (let n = 0; n < 100; n += 1) {
      const standing = () => ({ holder: holding(1), told: null, runtime: RUNTIME, legacyNodes: null });
      new Acks({ standing, client: { call: away }, log }).look();
    }
    await new Promise(setImmediate);
    assert.ok(delays.size > 90);
    for (const ms of delays) assert.ok(ms >= 125 && ms <= 250, `${ms}`);
  });

  test('only the newest: what is new does not wait for the retry of what is old', async (t) => {
    const { holder, sent, operator, look, pass } = acknowledging(t, 1);
    operator.answer = away;
    await look();
    await pass(16_000);
    sent.length = 0;
    operator.answer = () => ({ status: 204, body: null, retryAfterMs: null });
    holder.load(snapshotOf({ version: 2 }));
    await look();
    await pass(60_000);
    assert.deepEqual(sent.map((ack) => ack.revision), [R2]);
  });

  test('what moves while one is on its way follows it', async (t) => {
    const { acks, holder, sent, operator, look, pass } = acknowledging(t, 1);
    operator.answer = () => new Promise((resolve) => setTimeout(() => resolve({ status: 204, body: null, retryAfterMs: null }), 1000));
    await look();
    for (const version of [2, 3]) {
      holder.load(snapshotOf({ version }));
      acks.look();
    }
    assert.deepEqual(sent.map((ack) => ack.revision), [R1]);
    await pass(5000);
    assert.deepEqual(sent.map((ack) => ack.revision), [R1, R3]);
  });

  test('Retry-After is kept, also when something new comes', async (t) => {
    const { holder, sent, operator, look, pass } = acknowledging(t, 1);
    operator.answer = refused(429, 5000);
    await look();
    holder.load(snapshotOf({ version: 2 }));
    await look({ swapped: true });
    await pass(4500);
    assert.equal(sent.length, 1);
    await pass(1000);
    assert.deepEqual(sent.map((ack) => ack.revision), [R1, R2]);
  });

  test('but not an hour of it', async (t) => {
    const { sent, operator, look, pass } = acknowledging(t, 1);
    operator.answer = refused(503, 600_000);
    await look();
    await pass(30_000);
    assert.equal(sent.length, 2);
  });

  test('also that of a proxy, which gives no reason', async (t) => {
    const { sent, operator, lines, look, pass } = acknowledging(t, 1);
    operator.answer = () => ({ status: 503, body: null, retryAfterMs: 5_000 });
    await look();
    await pass(4_750);
    assert.deepEqual([sent.length, lines], [1, ['warn acks.away 503']]);
    await pass(250);
    assert.equal(sent.length, 2);
  });

  test('a swap may have brought the token that was missing', async (t) => {
    const { sent, operator, look } = acknowledging(t, 1);
    operator.answer = refused(401);
    await look();
    await look();
    assert.equal(sent.length, 1);
    await look({ swapped: true });
    assert.equal(sent.length, 2);
  });

  test('where it was not told whom to call it says nothing, waits for nothing, and calls when it is told', async (t) => {
    const { sent, operator, lines, look, pass } = acknowledging(t, 1);
    const { answer } = operator;
    operator.answer = () => { throw new NoAnswer('NotTold'); };
    await look();
    await pass(120_000, 10_000);
    assert.deepEqual([sent.length, lines], [1, []]);
    operator.answer = answer;
    await look({ swapped: true });
    await look({ swapped: true });
    assert.equal(sent.length, 2);
  });

  test('what may have arrived though the answer was lost is said over', async (t) => {
    const { standing, sent, operator, look, pass } = acknowledging(t, 1);
    const { answer } = operator;
    await look();
    operator.answer = () => { throw new NoAnswer('TimedOut'); };
    standing.legacyNodes = 1;
    await look();
    operator.answer = answer;
    standing.legacyNodes = null;
    await look();
    await pass(60_000, 10_000);
    assert.deepEqual(sent.map((ack) => ack.legacyNodes), [undefined, 1, undefined]);
  });

  test('a refusal is named by its one word; whatever else stands there stays out of the log', async (t) => {
    for (const [reason, line] of [['NoSync', 'warn acks.away 409 NoSync'], ['a\nb', 'warn acks.away 409'], [{}, 'warn acks.away 409']]) {
      const { operator, lines, look } = acknowledging(t, 1);
      operator.answer = refused(409, null, /** @type {any} */ (reason));
      await look();
      assert.deepEqual(lines, [line]);
      t.mock.timers.reset();
    }
  });

  test('after the end nothing is sent', async (t) => {
    const { acks, sent, operator, look, pass } = acknowledging(t, 1);
    operator.answer = away;
    await look();
    acks.close();
    await pass(60_000, 10_000);
    await look();
    assert.equal(sent.length, 1);
  });
});
