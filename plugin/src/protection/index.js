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
/** @typedef {import('../log').Log} Log */
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
 * @param {{log: Log, find?: typeof internals}} options `find` is for tests
 * @returns {Protection}
 */
function install(RED, holder, { log, find = internals }) {
  const earlier = /** @type {any} */ (globalThis)[INSTALLED];
  earlier?.close();

  const red = find();
  if (red === null) return none(log.say('protection.unknown'));

  const administrators = new Administrators();
  const refusals = new Refusals(() => log.warn('protection.read-only'));
  /** @type {Guard[]} */
  const guards = [];
  const guarded = (/** @type {import('./guard').Store} */ store, /** @type {string} */ name) => {
    const guard = new Guard(store, {
      names: new Names(RED.util.normalisePropertyExpression),
      answer: (path) => (administrators.asking ? mask : answer)(holder.current, path),
      listed: () => holder.current !== null && red.context.listStores().default === name,
      refuse: () => refusals.refuse(),
      remember: (callback) => administrators.remember(callback),
      opened: (opened) => clear(opened, name, log),
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
    // A sealed one can only be stood for, and who uses it already would not notice.
    const sealed = foreign.length > 0 ? [] : [...found].filter(([name, store]) => guarded(store, name) !== store).map(([name]) => name);
    const beyond = [...foreign, ...sealed];
    if (beyond.length > 0) {
      guards.forEach((guard) => guard.release());
      return none(log.say('protection.open', { names: beyond.join(', ') }));
    }
    purged = Promise.all(guards.map((guard) => guard.owner.opened(guard))).then(() => {});
  }

  const unwatch = administrators.watch(red.api);
  const seed = unseed(functionGlobalContext, red.context.get('global'));
  for (const name of seed.removed) log.warn('protection.seed', { name });

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
 * Has the stores remembered that Node-RED is about to open, so that `install` finds them all when it is called later on.
 * @param {any} RED
 * @param {typeof internals} [find] is for tests
 * @returns {{close(): void}}
 */
function prepare({ settings: { contextStorage } }, find = internals) {
  const red = find();
  if (red === null || configured(contextStorage).length === 0 || red.context.listStores().stores.length > 0) return { close() {} };
  try {
    return { close: wrapFactories(contextStorage, red.builtIn, (store) => store) };
  } catch {
    // Settings that cannot be changed: it is for `install` to say.
    return { close() {} };
  }
}

/**
 * A store that cannot be cleared still serves: what stands in it is not what flows and people are given.
 * @param {Guard} guard
 * @param {string} store its name
 * @param {Log} log
 */
async function clear(guard, store, log) {
  try {
    const removed = await purge(guard);
    if (removed.length > 0) log.info('protection.purged', { names: removed.join(', '), store });
  } catch {
    log.warn('protection.not-purged', { store });
  }
}

/**
 * @param {string} reason
 * @returns {Protection}
 */
function none(reason) {
  return { mode: 'none', reason, purged: Promise.resolve(), close: () => {} };
}

module.exports = { install, prepare };
