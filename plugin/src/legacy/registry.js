'use strict';

const path = require('node:path');

/**
 * @typedef {(type: string) => unknown} Get the constructor of a type, or something falsy
 * @typedef {{id: string, enabled: boolean, err?: unknown, types: string[]}} NodeSet
 * @typedef {{index: {get: Get}, set: (id: string) => NodeSet | null}} Registry
 */

const INDEX = path.join('@node-red', 'registry', 'lib', 'index.js');

/**
 * The registry of the Node-RED that runs this package. A node is given no way to it, and resolving it by name would find
 * whatever copy stands nearest; so it is looked up among what is loaded, and the one that knows our set is the one.
 * @param {string} id of the node set
 * @param {NodeJS.Dict<{exports: any}>} [loaded]
 * @returns {Registry | null} null where it is not where Node-RED 4 and 5 have it
 */
function registryOf(id, loaded = require.cache) {
  for (const [file, module] of Object.entries(loaded)) {
    if (!file.endsWith(INDEX)) continue;
    const inner = loaded[path.join(path.dirname(file), 'registry.js')]?.exports;
    const set = inner?.getFullNodeInfo;
    if (typeof set === 'function' && typeof module?.exports?.get === 'function' && set(id)) return { index: module.exports, set };
  }
  return null;
}

module.exports = { registryOf };
