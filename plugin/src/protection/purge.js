'use strict';

const { NAMES } = require('../reading/names');

/** @typedef {import('./guard').Guard} Guard */

/**
 * Removes the SECRETS that an older way of delivering them has left in a store, also from its files.
 * @param {Guard} guard of a store that is open
 * @returns {Promise<string[]>} what was removed
 */
async function purge({ stock, store }) {
  const keys = await called((done) => stock.keys('global', done));
  const stale = NAMES.filter((name) => keys?.includes(name));
  if (stale.length === 0) return [];
  await called((done) => stock.set('global', stale, stale.map(() => undefined), done));
  await flush(store);
  return stale;
}

/**
 * With its cache on, `localfilesystem` would leave its file as it is for as long as its `flushInterval`.
 * @param {any} store
 */
async function flush(store) {
  clearTimeout(store._pendingWriteTimeout);
  await store._flushPendingWrites?.();
}

/**
 * @param {(done: (error?: unknown, value?: any) => void) => void} call
 * @returns {Promise<any>}
 */
function called(call) {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));
}

module.exports = { purge };
