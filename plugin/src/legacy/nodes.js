'use strict';

/**
 * How many legacy Secret Manager nodes the deployed flows hold: each once, also in a subflow, disabled ones and those of an
 * unknown type included.
 * @param {any} RED
 * @param {string} type
 * @returns {number}
 */
function countLegacyNodes(RED, type) {
  let count = 0;
  RED.nodes.eachNode((/** @type {any} */ node) => {
    if (node.type === type) count += 1;
  });
  return count;
}

/**
 * Whether flows that are about to start will start one, as far as their definitions tell. One in a subflow counts whether or not
 * the subflow is used: what has started says so afterwards.
 * @param {any[]} flows
 * @param {string} type
 * @returns {boolean}
 */
function holdsEnabled(flows, type) {
  const disabled = new Set(flows.filter((node) => node.type === 'tab' && node.disabled === true).map(({ id }) => id));
  return flows.some((node) => node.type === type && node.d !== true && !disabled.has(node.z));
}

module.exports = { countLegacyNodes, holdsEnabled };
