'use strict';

/**
 * How many legacy Secret Manager nodes the deployed flows hold, disabled ones and those of an unknown type included.
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

module.exports = { countLegacyNodes };
