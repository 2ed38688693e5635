'use strict';

/** @typedef {import('./guard').Store} Store */
/** @typedef {import('./internals').Internals} Internals */
/** @typedef {(config: object) => Store} Factory */
/** @typedef {Record<string, string | {module?: string | Factory}>} Storage `contextStorage` of settings.js */

/** The stores that Node-RED has made while factories were wrapped, by what settings.js asks for. @type {WeakMap<Storage, Map<string, Store>>} */
const MADE = new WeakMap();

/**
 * The stores that settings.js asks for, as Node-RED reads it: without the name that only points at another one.
 * @param {Storage | undefined} storage
 * @returns {[string, {module?: string | Factory}][]}
 */
function configured(storage) {
  return /** @type {any} */ (Object.entries(storage ?? {})
    .filter(([name, entry]) => name !== '_' && typeof entry === 'object' && entry !== null));
}

/**
 * Before the stores open: makes `settings.contextStorage` hand out guarded ones. Node-RED reads it after the plugins
 * have loaded. An entry that Node-RED cannot load is left as it is, so that it says so in its own words.
 * @param {Storage} storage
 * @param {Internals['builtIn']} builtIn
 * @param {(store: Store, name: string) => Store} guarded
 * @returns {() => void} undoes it
 */
function wrapFactories(storage, builtIn, guarded) {
  /** @type {(() => void)[]} */
  const undo = [];
  const close = () => undo.splice(0).forEach((one) => one());
  try {
    for (const [name, entry] of configured(storage)) {
      const { module } = entry;
      const factory = factoryOf(module, builtIn);
      if (factory === null) continue;
      const make = (/** @type {object} */ config) => guarded(remembered(storage, name, factory(config)), name);
      const wrapped = Object.assign(make, said(module));
      entry.module = wrapped;
      undo.push(() => {
        if (entry.module === wrapped) entry.module = module;
      });
    }
    return close;
  } catch (error) {
    // All stores or none: one that is beyond reach would not refuse what the others do.
    close();
    throw error;
  }
}

/**
 * @param {Storage} storage
 * @param {string} name
 * @param {Store} store
 */
function remembered(storage, name, store) {
  MADE.set(storage, (MADE.get(storage) ?? new Map()).set(name, store));
  return store;
}

/**
 * @param {unknown} module
 * @param {Internals['builtIn']} builtIn
 * @returns {Factory | null}
 */
function factoryOf(module, builtIn) {
  try {
    const factory = typeof module === 'string' ? builtIn(module) : module;
    return typeof factory === 'function' ? /** @type {Factory} */ (factory) : null;
  } catch {
    return null;
  }
}

/**
 * Node-RED's log names a store by its own `toString`, where it has one.
 * @param {any} module
 */
function said(module) {
  return typeof module === 'string' || Object.hasOwn(module, 'toString') ? { toString: () => String(module) } : {};
}

/**
 * After the stores have opened (and for the memory store of a settings.js that asks for none, which is there before the
 * plugins are): finds those that were remembered, and those that Node-RED brings by asking each for its keys, with the
 * prototypes of the built-in stores changed to tell who was asked. Nothing else runs meanwhile.
 * @param {Internals} internals
 * @param {Storage | undefined} storage
 * @returns {{found: Map<string, Store>, foreign: string[]}} by name; `foreign`: of somebody else, and beyond reach
 */
function openStores({ context, builtIn }, storage) {
  const { default: first, stores } = context.listStores();
  const all = stores.length > 0 ? stores : [/** @type {string} */ (first)];
  const made = storage && MADE.get(storage);
  const found = new Map([...made ?? []].filter(([name]) => all.includes(name)));
  // One that keeps a built-in store behind it would tell of that one, and not of itself.
  const foreign = configured(storage).filter(([, entry]) => typeof entry.module !== 'string').map(([name]) => name);
  const names = all.filter((name) => !found.has(name) && !foreign.includes(name));
  let asking = '';
  const undo = [builtIn('memory')({}), builtIn('localfilesystem')({ dir: '/' })].map((specimen) => {
    const prototype = /** @type {Store} */ (Object.getPrototypeOf(specimen));
    const { keys } = prototype;
    prototype.keys = function tell(scope, callback) {
      found.set(asking, this);
      callback?.(null, []);
    };
    return () => { prototype.keys = keys; };
  });
  try {
    for (const name of names) {
      asking = name;
      context.get('global').keys(name, () => {});
    }
  } finally {
    undo.forEach((one) => one());
  }
  return { found, foreign: all.filter((name) => !found.has(name)) };
}

module.exports = { configured, wrapFactories, openStores };
