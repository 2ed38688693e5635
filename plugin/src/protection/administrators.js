'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');

/** @typedef {(options: object) => Promise<unknown>} Reader */

/**
 * Tells whether a read of the context is for a person at the editor or for a flow.
 *
 * The mark is set where all such reads come through, whoever sent them: the runtime API's `context.getValue`, which every
 * `GET /context/(global|flow|node)…` ends in. A rule on the request's path would miss what a URL can be made to look like
 * (`GET http://host/context/global`, an app that mounts the editor elsewhere), and could catch a flow's own endpoint.
 */
class Administrators {
  /** @type {AsyncLocalStorage<boolean>} */
  #mark = new AsyncLocalStorage();

  /** Whether the running code answers a person. */
  get asking() {
    return this.#mark.getStore() === true;
  }

  /**
   * Marks all that comes through here from now on.
   * @param {{getValue: Reader}} api the runtime API of the context
   * @returns {() => void} undoes it
   */
  watch(api) {
    const stock = api.getValue;
    /** @type {Reader} */
    const marked = (options) => this.#mark.run(true, () => stock.call(api, options));
    api.getValue = marked;
    return () => {
      if (api.getValue === marked) api.getValue = stock;
    };
  }

  /**
   * Keeps the mark for a callback that a store calls from elsewhere: a socket, a queue, a timer of its own.
   * @template {(...given: any[]) => void} F
   * @param {F} callback
   * @returns {F}
   */
  remember(callback) {
    if (!this.asking) return callback;
    return /** @type {F} */ ((...given) => this.#mark.run(true, callback, ...given));
  }
}

module.exports = { Administrators };
