'use strict';

const { Plugin } = require('./plugin');

/**
 * Node-RED calls this when it loads its plugins, before context stores open and flows start. It waits for the promise.
 * @param {any} RED
 * @returns {Promise<void> | undefined}
 */
module.exports = (RED) => new Plugin(RED).start();
