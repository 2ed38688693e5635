'use strict';

const { NAMES } = require('./names');

const LABEL = 'spacesync-reading';

/**
 * Makes `{{{global.SECRETS.x}}}` work in the URL of an HTTP Request node, which renders it with nothing but the message.
 * For as long as the node's input handler runs, which is when it does, the message has a `global` that no copy takes along.
 * @param {any} RED
 * @returns {() => void} undoes it
 */
function install(RED) {
  /** @type {WeakSet<object>} */
  const lent = new WeakSet();
  RED.hooks.add(`onReceive.${LABEL}`, (/** @type {any} */ { msg, destination: { node } }) => {
    if (node?.type !== 'http request' || Object.hasOwn(msg, 'global')) return;
    Object.defineProperty(msg, 'global', { configurable: true, enumerable: false, value: view(node) });
    lent.add(msg);
  });
  RED.hooks.add(`postReceive.${LABEL}`, (/** @type {any} */ { msg }) => {
    if (lent.delete(msg)) delete msg.global;
  });
  return () => {
    RED.hooks.remove(`onReceive.${LABEL}`);
    RED.hooks.remove(`postReceive.${LABEL}`);
  };
}

/**
 * Asks the store only where the URL does.
 * @param {{context: () => any}} node
 */
function view(node) {
  /** @type {PropertyDescriptorMap} */
  const properties = Object.fromEntries(NAMES.map((name) => [name, { get: () => node.context().global.get(name) }]));
  return Object.defineProperties({}, properties);
}

module.exports = { install };
