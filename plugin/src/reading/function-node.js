'use strict';

const vm = require('node:vm');
const { NAMES } = require('./names');

/**
 * Makes `global.SECRETS.x` work in Function nodes, also On Start and On Stop, and `context.global.SECRETS.x` with it.
 *
 * A Function node's `global` is an object of its own sandbox, made when the node starts; the one place where it can be
 * reached is the call that makes the sandbox a context. Nodes that have started before are reached when they next start.
 * @returns {() => void} undoes it
 */
function install() {
  const stock = vm.createContext;
  let serving = true;
  /** @type {(...given: any[]) => any} */
  const createContext = (sandbox, ...options) => {
    if (serving && isFunctionNode(sandbox)) {
      expose(sandbox.global);
      expose(sandbox.context.global);
    }
    return stock.call(vm, sandbox, ...options);
  };
  vm.createContext = createContext;
  return () => {
    serving = false;
    if (vm.createContext === createContext) vm.createContext = stock;
  };
}

/**
 * @param {any} sandbox
 * @returns {boolean}
 */
function isFunctionNode(sandbox) {
  return [sandbox?.__node__, sandbox?.RED, sandbox?.context, sandbox?.global].every((part) => typeof part === 'object' && part !== null)
    && typeof sandbox.global.get === 'function' && typeof sandbox.context.global?.get === 'function';
}

/**
 * Reads and writes go the way of `get` and `set`, so they are served, masked and refused as these are. Not enumerable:
 * a copy of `global` copies no secret.
 * @param {{get: (key: string) => unknown, set: (key: string, value: unknown) => void}} global
 */
function expose(global) {
  for (const name of NAMES) {
    Object.defineProperty(global, name, {
      configurable: true, enumerable: false, get: () => global.get(name), set: (value) => global.set(name, value),
    });
  }
}

module.exports = { install };
