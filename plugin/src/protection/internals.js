'use strict';

const path = require('node:path');

/** @typedef {import('./guard').Store} Store */
/**
 * @typedef {{
 *   listStores: () => {default: string | undefined, stores: string[]},
 *   get: (scope: string) => {keys: (store: string, callback: (error: unknown, keys: string[]) => void) => void},
 * }} ContextModule
 * @typedef {{
 *   context: ContextModule,
 *   api: {getValue: (options: object) => Promise<unknown>},
 *   builtIn: (name: string) => (config: object) => Store,
 * }} Internals
 */

const CONTEXT = path.join('@node-red', 'runtime', 'lib', 'nodes', 'context', 'index.js');

/**
 * The modules of the Node-RED that runs this plugin. A plugin is given no way to them, and resolving them by name would
 * find whatever copy stands nearest; so they are looked up among what is loaded, and only one that has been started counts.
 * @param {NodeJS.Dict<{exports: any}>} [loaded]
 * @returns {Internals | null} null where they are not where Node-RED 4 and 5 have them
 */
function internals(loaded = require.cache) {
  for (const [file, module] of Object.entries(loaded)) {
    if (!file.endsWith(CONTEXT)) continue;
    const context = module?.exports;
    const api = loaded[path.join(file, '..', '..', '..', 'api', 'context.js')]?.exports;
    const started = typeof context?.listStores === 'function' && context.listStores().default !== undefined;
    if (started && typeof api?.getValue === 'function') {
      return { context, api, builtIn: (name) => require(path.join(path.dirname(file), name)) };
    }
  }
  return null;
}

module.exports = { internals };
