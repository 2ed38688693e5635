'use strict';

const path = require('node:path');

const CATALOG = '@spacesync/node-red-secret-manager/secret-manager:';
const RESOURCES = path.join(__dirname, '..', '..', '..', 'resources');

/** @param {string} file of the editor half */
const load = (file) => import(path.join(RESOURCES, file));

/**
 * Says things as the editor does, from the real catalog.
 * @param {string} [language]
 */
async function textIn(language = 'en-US') {
  const catalog = require(`../../../src/locales/${language}/secret-manager.json`);
  const { Text } = await load('text.js');
  return new Text((/** @type {string} */ name, args = {}) => {
    const place = name.slice(CATALOG.length);
    const found = place.split('.').reduce((/** @type {any} */ at, part) => at?.[part], catalog);
    return typeof found === 'string' ? found.replace(/__(\w+?)__/g, (_, arg) => String(/** @type {any} */ (args)[arg])) : place;
  }, language);
}

module.exports = { load, textIn };
