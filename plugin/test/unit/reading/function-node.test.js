'use strict';

const assert = require('node:assert/strict');
const { afterEach, describe, it } = require('node:test');
const vm = require('node:vm');

const functionNode = require('../../../src/reading/function-node');

const stock = vm.createContext;

/** What a Function node gives to vm.createContext, as far as it matters. */
function sandbox(values) {
  const writes = [];
  const context = () => ({ get: (key) => values[key], set: (...write) => { writes.push(write); }, keys: () => Object.keys(values) });
  return { writes, __node__: {}, RED: { util: {} }, console, context: { get() {}, global: context() }, global: context() };
}

describe('a Function node', () => {
  let undo = () => {};
  afterEach(() => undo());

  it('reads global.SECRETS anew at each read, with its own words for get, set and keys', () => {
    undo = functionNode.install();
    const values = { SECRETS: { token: 'one' }, SECRETS_METADATA: { version: 1 } };
    const context = vm.createContext(sandbox(values));
    const read = new vm.Script('[global.SECRETS.token, context.global.SECRETS.token, global.SECRETS_METADATA.version, global.keys().length].join()');
    assert.equal(read.runInContext(context), 'one,one,1,2');
    values.SECRETS = { token: 'two' };
    assert.equal(read.runInContext(context), 'two,two,1,2');
  });

  it('copies no secret with a copy of its global', () => {
    undo = functionNode.install();
    const context = vm.createContext(sandbox({ SECRETS: { token: 'one' } }));
    const copies = 'JSON.stringify([Object.keys(global), Object.keys({ ...global }), Object.keys(Object.assign({}, context.global))])';
    assert.ok(!vm.runInContext(copies, context).includes('SECRETS'));
  });

  it('is refused a write where every write is refused, also in strict code', () => {
    undo = functionNode.install();
    const box = sandbox({});
    vm.runInContext('"use strict"; global.SECRETS = 1; context.global.SECRETS_METADATA = 2;', vm.createContext(box));
    assert.deepEqual(box.writes, [['SECRETS', 1], ['SECRETS_METADATA', 2]]);
  });

  it('is the only one whose context is changed', () => {
    undo = functionNode.install();
    for (const other of [{}, { global: { get() {} } }, { __node__: {}, global: 1, RED: {}, context: {} }, undefined]) {
      const before = JSON.stringify(other);
      const context = vm.createContext(other, { name: 'other' });
      assert.ok(vm.isContext(context));
      if (other) assert.equal(JSON.stringify(other), before);
      assert.equal(typeof Object(other?.global).SECRETS, 'undefined');
    }
  });

  it('is given nothing after the end, also where another has wrapped the call since', () => {
    undo = functionNode.install();
    const ours = vm.createContext;
    const theirs = (...given) => ours(...given);
    vm.createContext = theirs;
    undo();
    const box = sandbox({ SECRETS: { token: 'one' } });
    vm.createContext(box);
    assert.equal(vm.createContext, theirs);
    assert.equal(box.global.SECRETS, undefined);
    vm.createContext = stock;
    functionNode.install()();
    assert.equal(vm.createContext, stock);
  });
});
