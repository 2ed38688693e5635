'use strict';

const { Names } = require('../reading/names');
const { answer, mask } = require('../reading/answer');
const { Administrators } = require('./administrators');
const { Guard } = require('./guard');
const { internals } = require('./internals');
const { purge } = require('./purge');
const { Refusals } = require('./refusals');
const { unseed } = require('./seed');
const { configured, openStores, wrapFactories } = require('./stores');

/** @typedef {import('../snapshot').Snapshot} Snapshot */
/**
 * How SECRETS is served: from the stores of `contextStorage`, from the memory store that is there without it, or not at
 * all; then `reason` says why, for people. `close` takes everything back. `purged` comes when no store that is open holds
 * what older ways have left there.
 * @typedef {{mode: 'context-store' | 'memory-store' | 'none', reason?: string, purged: Promise<void>, close: () => void}} Protection
 */

/** The installation before, also of another copy of this package: the newest serves. */
const INSTALLED = Symbol.for('spacesync.protection');

/**
 * Stands before every context store: flows read SECRETS, people see masks, nobody writes, nothing reaches a disk.
 * To be called as soon as the plugin loads; before the context stores open, any store can be guarded.
 * @param {any} RED
 * @param {{readonly current: Snapshot | null}} holder
 * @param {{find?: typeof internals}} [options] for tests
 * @returns {Protection}
 */
function install(RED, holder, { find = internals } = {}) {
  const earlier = /** @type {any} */ (globalThis)[INSTALLED];
  earlier?.close();

  const red = find();
  if (red === null) return none('this Node-RED keeps its context where the plugin does not know it; Node-RED 4.1 and 5 are known');

  const administrators = new Administrators();
  const refusals = new Refusals((text) => RED.log.warn(`[secret-manager] ${text}`));
  /** @type {Guard[]} */
  const guards = [];
  const guarded = (/** @type {import('./guard').Store} */ store, /** @type {string} */ name) => {
    const guard = new Guard(store, {
      names: new Names(RED.util.normalisePropertyExpression),
      answer: (path) => (administrators.asking ? mask : answer)(holder.current, path),
      listed: () => holder.current !== null && red.context.listStores().default === name,
      refuse: () => refusals.refuse(),
      remember: (callback) => administrators.remember(callback),
      opened: (opened) => clear(RED, opened, name),
    });
    guards.push(guard);
    return guard.mount();
  };

  const { contextStorage, functionGlobalContext } = RED.settings;
  const asked = configured(contextStorage).length > 0;
  let unwrap = () => {};
  let purged = Promise.resolve();
  if (asked && red.context.listStores().stores.length === 0) {
    unwrap = wrapFactories(contextStorage, red.builtIn, guarded);
  } else {
    const { found, foreign } = openStores(red, contextStorage);
    if (foreign.length > 0) return none(`the context store ${foreign.join(', ')} was open before the plugin was installed; restart Node-RED`);
    found.forEach(guarded);
    purged = Promise.all(guards.map((guard) => guard.owner.opened(guard))).then(() => {});
  }

  const unwatch = administrators.watch(red.api);
  const seed = unseed(functionGlobalContext, red.context.get('global'));
  for (const name of seed.removed) {
    RED.log.warn(`[secret-manager] functionGlobalContext.${name} of settings.js is ignored: the space's secrets stand there`);
  }

  /** @type {Protection} */
  const protection = {
    mode: asked ? 'context-store' : 'memory-store',
    purged,
    close() {
      seed.restore();
      unwatch();
      unwrap();
      guards.forEach((guard) => guard.release());
      if (/** @type {any} */ (globalThis)[INSTALLED] === protection) delete /** @type {any} */ (globalThis)[INSTALLED];
    },
  };
  /** @type {any} */ (globalThis)[INSTALLED] = protection;
  return protection;
}

/**
 * A store that cannot be cleared still serves: what stands in it is not what flows and people are given.
 * @param {any} RED
 * @param {Guard} guard
 * @param {string} name
 */
async function clear(RED, guard, name) {
  try {
    const removed = await purge(guard);
    if (removed.length > 0) RED.log.info(`[secret-manager] removed ${removed.join(' and ')}, left by an older version, from the context store ${name}`);
  } catch {
    RED.log.warn(`[secret-manager] the context store ${name} could not be cleared of what an older version may have left there`);
  }
}

/**
 * @param {string} reason
 * @returns {Protection}
 */
function none(reason) {
  return { mode: 'none', reason, purged: Promise.resolve(), close: () => {} };
}

module.exports = { install };
