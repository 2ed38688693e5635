// Which nodes of the open flows use which keys.

import { keysOf } from './scan.js';

/** @typedef {{id: string, label: string, flow: string}} User a node that uses a key */
/** @typedef {ReadonlyMap<string, readonly User[]>} Usage by key */

/**
 * Looks through all that is open in the editor, deployed or not.
 * @param {any} RED
 * @returns {Usage}
 */
export function usage(RED) {
  /** @type {Map<string, User[]>} */
  const users = new Map();
  const look = (/** @type {any} */ node) => {
    for (const key of keysOf(propertiesOf(node))) {
      const known = users.get(key) ?? [];
      users.set(key, [...known, { id: node.id, label: labelOf(RED, node), flow: flowOf(RED, node) }]);
    }
  };
  for (const each of ['eachWorkspace', 'eachSubflow', 'eachGroup', 'eachConfig', 'eachNode']) RED.nodes[each]?.(look);
  return users;
}

/**
 * The keys that are used, and not there.
 * @param {Usage} users
 * @param {Iterable<string>} names that are there
 * @returns {string[]} sorted
 */
export function missing(users, names) {
  const there = new Set(names);
  return [...users.keys()].filter((key) => !there.has(key)).sort();
}

/** What is saved of a node; the editor keeps much else in it. @param {any} node */
function propertiesOf(node) {
  if (node.type === 'unknown') return node._orig ?? {};
  const names = [...Object.keys(node._def?.defaults ?? {}), 'env'];
  return Object.fromEntries(names.filter((name) => name in node).map((name) => [name, node[name]]));
}

/** @param {any} RED @param {any} node */
function labelOf(RED, node) {
  return String(RED.utils.getNodeLabel(node, node.label || node.name || node.type || node.id));
}

/** @param {any} RED @param {any} node @returns {string} */
function flowOf(RED, node) {
  const flow = RED.nodes.workspace(node.z) ?? RED.nodes.subflow(node.z);
  return flow?.label ?? flow?.name ?? '';
}
