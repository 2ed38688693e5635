'use strict';

const { fill } = require('./legacy/vacancy');
const { registryOf } = require('./legacy/registry');
const { readOptions } = require('./options');
const { ID } = require('./plugin');
const { name: MODULE } = require('../package.json');

/** Our node's own name, which nobody else wants. What flows call it, others may want. */
const OWN = 'secret-manager-legacy';

/**
 * The legacy Secret Manager node, for flows that still hold one: below Flow App 5.3.0 a front of the plugin, from then on inert.
 * @param {any} RED
 */
module.exports = async (RED) => {
  const { oldSettings } = await import('../resources/legacy/old-settings.js');
  /** @type {import('./legacy').Legacy | undefined} */
  const legacy = RED.plugins.get(ID)?.legacy;
  const type = legacy?.type ?? readOptions(RED.settings, process.env).legacyNodeType;

  /** @this {any} */
  function LegacySecretManager(/** @type {Record<string, unknown>} */ definition) {
    RED.nodes.createNode(this, definition);
    legacy?.join(this, oldSettings(definition));
  }

  // What Node-RED makes of a function that it registers, it does before it says that the name is taken.
  const register = (/** @type {string} */ name, options = {}) => {
    try {
      RED.nodes.registerType(name, LegacySecretManager, options);
      return true;
    } catch {
      return false;
    }
  };
  // The editor is told of these before it loads any node.
  register(OWN, {
    settings: {
      secretManagerLegacyType: { value: type, exportable: true },
      secretManagerLegacyNeeded: { get value() { return legacy?.needed ?? false; }, exportable: true },
    },
  });

  const registry = registryOf(`${MODULE}/legacy-node`);
  if (registry === null) {
    // A Node-RED of another making. Whoever wants the type has had its turn by now.
    const ours = register(type);
    legacy?.hold({ ours, close() {} });
    return;
  }
  const vacancy = fill(registry, { type, set: `${MODULE}/legacy-node`, node: LegacySecretManager });
  legacy?.hold(vacancy);
  // Flows may be waiting for it.
  if (vacancy.ours) RED.events.emit('type-registered', type);
};
