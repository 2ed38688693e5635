'use strict';

const { NAMES } = require('../reading/names');

/**
 * A context store, as Node-RED's documentation describes it.
 * @typedef {(error?: unknown, ...values: any[]) => void} Callback
 * @typedef {{
 *   open: () => any,
 *   close: () => any,
 *   get: (scope: string, key: string | string[], callback?: Callback) => any,
 *   set: (scope: string, key: string | string[], value: any, callback?: Callback) => any,
 *   keys: (scope: string, callback?: Callback) => any,
 *   delete: (scope: string) => any,
 *   clean: (activeNodes: string[]) => any,
 * }} Store
 */

/**
 * What a guard asks its owner.
 * @typedef {{
 *   names: import('../reading/names').Names,
 *   answer: (path: import('../reading/names').Path) => unknown,
 *   listed: () => boolean,
 *   refuse: () => Error,
 *   remember: <F extends Callback>(callback: F) => F,
 *   opened: (guard: Guard) => Promise<void>,
 * }} Owner
 * `listed`: whether `keys` tells our names; `remember`: see Administrators; `opened`: runs when the store has opened,
 * before Node-RED hears of it.
 */

const METHODS = /** @type {const} */ (['open', 'close', 'get', 'set', 'keys', 'delete', 'clean']);

/**
 * Stands before a store: answers for SECRETS and SECRETS_METADATA in the global scope, and hands on all else. Our values
 * never reach the store behind, so nothing of them is in its cache, its files or its database; to delete or to clean
 * there deletes nothing of ours.
 */
class Guard {
  #serving = true;
  /** @type {PropertyDescriptorMap} what stood on the store itself before */
  #own = {};

  /**
   * @param {Store} store
   * @param {Owner} owner
   */
  constructor(store, owner) {
    this.store = store;
    this.owner = owner;
    /** The store's own methods, as they were. @type {Store} */
    this.stock = /** @type {any} */ (Object.fromEntries(METHODS.map((name) => [name, store[name]?.bind(store)])));
  }

  /** What Node-RED should call instead of the store's own methods. @returns {Store} */
  methods() {
    return {
      ...this.stock,
      open: () => this.#open(),
      get: (scope, key, callback) => this.#get(scope, key, callback),
      set: (scope, key, value, callback) => this.#set(scope, key, value, callback),
      keys: (scope, callback) => this.#keys(scope, callback),
    };
  }

  /**
   * Puts the methods onto the store itself.
   * @returns {Store} what to use: the store, or where it is sealed, an object that stands for it
   */
  mount() {
    const { open, get, set, keys } = this.methods();
    this.#own = Object.getOwnPropertyDescriptors(this.store);
    try {
      return Object.assign(this.store, { open, get, set, keys });
    } catch {
      return this.methods();
    }
  }

  /** Hands on everything from now on, and leaves the store as it was. */
  release() {
    this.#serving = false;
    for (const name of METHODS) {
      if (Object.hasOwn(this.#own, name)) Reflect.defineProperty(this.store, name, this.#own[name]);
      else Reflect.deleteProperty(this.store, name);
    }
  }

  async #open() {
    const opened = await this.stock.open();
    if (this.#serving) await this.owner.opened(this);
    return opened;
  }

  /** @type {Store['get']} */
  #get(scope, key, callback) {
    const asked = Array.isArray(key) ? key : [key];
    const paths = this.#serves(scope) ? asked.map((one) => this.owner.names.path(one)) : [];
    if (paths.every((path) => path === null)) return this.stock.get(scope, key, callback);

    // Answered now, while it is known who asks.
    const ours = paths.map((path) => (path === null ? undefined : this.owner.answer(path)));
    if (!Array.isArray(key)) return callback === undefined ? ours[0] : callback(undefined, ours[0]);

    const others = asked.filter((_, at) => paths[at] === null);
    const merge = (/** @type {unknown[]} */ found) => {
      const next = found.values();
      return ours.map((value, at) => (paths[at] === null ? next.next().value : value));
    };
    if (callback === undefined) return merge(others.length > 0 ? this.stock.get(scope, others) : []);
    if (others.length === 0) return callback(undefined, ...merge([]));
    return this.stock.get(scope, others, (error, ...found) => (error ? callback(error) : callback(undefined, ...merge(found))));
  }

  /** @type {Store['set']} */
  #set(scope, key, value, callback) {
    const keys = Array.isArray(key) ? key : [key];
    const refused = this.#serves(scope) ? keys.filter((one) => this.owner.names.has(one)) : [];
    if (refused.length === 0) return this.stock.set(scope, key, value, callback);

    const error = this.owner.refuse();
    if (refused.length === keys.length) return callback?.(error);

    // A value for each key, and null for a key without one, as the stores of Node-RED read it.
    const values = Array.isArray(value) ? value : [value];
    const kept = keys.map((one, at) => ({ key: one, value: at < values.length ? values[at] : null }))
      .filter((one) => !refused.includes(one.key));
    return this.stock.set(scope, kept.map((one) => one.key), kept.map((one) => one.value),
      callback && ((failed) => callback(failed ?? error)));
  }

  /** @type {Store['keys']} */
  #keys(scope, callback) {
    if (!this.#serves(scope)) return this.stock.keys(scope, callback);
    const complete = (/** @type {string[]} */ keys) =>
      [...keys.filter((key) => !NAMES.includes(key)), ...(this.owner.listed() ? NAMES : [])];
    if (callback === undefined) return complete(this.stock.keys(scope));
    return this.stock.keys(scope, this.owner.remember((error, keys) => (error ? callback(error) : callback(null, complete(keys)))));
  }

  /** @param {string} scope */
  #serves(scope) {
    return this.#serving && scope === 'global';
  }
}

module.exports = { Guard };
