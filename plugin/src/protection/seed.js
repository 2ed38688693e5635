'use strict';

const { NAMES } = require('../reading/names');

/**
 * Takes SECRETS out of `functionGlobalContext`: what settings.js has put there would answer for every key that the space
 * does not hold, in clear also to people.
 * @param {object | undefined} seed
 * @param {object} globalContext which Node-RED has filled from the seed
 * @returns {{removed: string[], restore: () => void}}
 */
function unseed(seed, globalContext) {
  const removed = NAMES.filter((name) => seed !== undefined && Object.hasOwn(seed, name));
  const undo = removed.flatMap((name) => [seed, globalContext].map((object) => {
    const property = Object.getOwnPropertyDescriptor(object, name);
    Reflect.deleteProperty(/** @type {object} */ (object), name);
    return () => {
      if (property !== undefined) Reflect.defineProperty(/** @type {object} */ (object), name, property);
    };
  }));
  return { removed, restore: () => undo.forEach((one) => one()) };
}

module.exports = { unseed };
