'use strict';

const fs = require('node:fs');
const path = require('node:path');

/**
 * The Node.js of the machine. npm puts that of the development dependencies, which Node-RED 5 needs, in front of it.
 * @returns {string}
 */
function installedNode() {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => !/node_modules|node-gyp-bin/.test(folder));
  return folders.map((folder) => path.join(folder, 'node')).find((file) => fs.existsSync(file)) ?? process.execPath;
}

module.exports = { installedNode };
