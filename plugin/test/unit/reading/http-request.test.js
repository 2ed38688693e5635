'use strict';

const assert = require('node:assert/strict');
const { afterEach, beforeEach, describe, it } = require('node:test');
const mustache = require('mustache');
const { hooks, util } = require('@node-red/util');

const reading = require('../../../src/reading');

const URL_TEMPLATE = 'https://host/{{{global.SECRETS.token}}}/{{{global.SECRETS.login.user}}}';

/** A node, and how Node-RED hands it a message (runtime/lib/nodes/Node.js, `_emitInput`). */
function node(type, values = { SECRETS: { token: 'a/b==', login: { user: 'u' } } }) {
  const reads = [];
  const get = (key) => {
    reads.push(key);
    return values[key];
  };
  return { type, reads, context: () => ({ global: { get } }) };
}

/** @param {(msg: any) => void} handle */
async function receive(msg, to, handle) {
  await hooks.trigger('onReceive', { msg, destination: { id: 'n', node: to } });
  try {
    handle(msg);
  } catch {
    // Node-RED hands the error to the node, and goes on.
  }
  await hooks.trigger('postReceive', { msg, destination: { id: 'n', node: to } });
}

describe('a message at an HTTP Request node', () => {
  let installed;
  beforeEach(() => { installed = reading.install({ hooks }); });
  afterEach(() => {
    installed.close();
    hooks.clear();
  });

  it('has what the URL asks for, as it is, for as long as the node renders it', async () => {
    const msg = { payload: 1 };
    let url;
    await receive(msg, node('http request'), (given) => { url = mustache.render(URL_TEMPLATE, given); });
    assert.equal(url, 'https://host/a/b==/u');
    assert.deepEqual(Object.getOwnPropertyNames(msg), ['payload']);
  });

  it('hands nothing to a copy that is made meanwhile', async () => {
    const copies = [];
    await receive({ payload: 1 }, node('http request'), (msg) => copies.push(util.cloneMessage(msg), { ...msg }, JSON.parse(JSON.stringify(msg))));
    assert.equal(copies.length, 3);
    for (const copy of copies) assert.deepEqual(Object.getOwnPropertyNames(copy), ['payload']);
  });

  it('is left clean when the node throws', async () => {
    const msg = {};
    await receive(msg, node('http request'), () => { throw new Error('in the node'); });
    assert.equal('global' in msg, false);
  });

  it('keeps a global of its own', async () => {
    const msg = { global: { SECRETS: { token: 'mine' } } };
    let url;
    await receive(msg, node('http request'), (given) => { url = mustache.render('{{{global.SECRETS.token}}}', given); });
    assert.equal(url, 'mine');
    assert.deepEqual(msg, { global: { SECRETS: { token: 'mine' } } });
  });

  it('asks for nothing that the URL does not', async () => {
    const to = node('http request');
    await receive({}, to, (msg) => mustache.render('https://host/{{{payload}}}', msg));
    assert.deepEqual(to.reads, []);
  });

  it('is as it was at every other node', async () => {
    let seen;
    await receive({}, node('function'), (msg) => { seen = 'global' in msg; });
    assert.equal(seen, false);
  });

  it('is as it was after the end, and after being installed twice', async () => {
    const second = reading.install({ hooks });
    const msg = {};
    await receive(msg, node('http request'), () => {});
    assert.equal('global' in msg, false);
    installed.close();
    second.close();
    let seen;
    await receive({}, node('http request'), (given) => { seen = 'global' in given; });
    assert.equal(seen, false);
    assert.equal(hooks.has('onReceive'), false);
  });
});
