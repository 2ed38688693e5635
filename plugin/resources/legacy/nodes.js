// The legacy nodes that are open in this editor, deployed or not.

/** @typedef {{id: string, flow: string, locked: boolean, says: Record<string, unknown>}} LegacyNode `says`: its definition */

/**
 * Finds them by their type, whoever registered it, or nobody.
 * @param {any} RED
 * @param {string} type
 * @returns {LegacyNode[]}
 */
export function find(RED, type) {
  /** @type {LegacyNode[]} */
  const found = [];
  const look = (/** @type {any} */ node) => {
    const says = node.type === 'unknown' ? node._orig ?? {} : node;
    if (says.type !== type) return;
    const flow = RED.nodes.workspace(node.z) ?? RED.nodes.subflow(node.z);
    found.push({ id: node.id, flow: flow?.label ?? flow?.name ?? '', locked: flow?.locked === true, says });
  };
  RED.nodes.eachNode(look);
  RED.nodes.eachConfig(look);
  return found;
}

/**
 * Deletes those that are in no locked flow, as the editor itself does: to be undone in one step, and not deployed.
 * @param {any} RED
 * @param {readonly LegacyNode[]} found
 * @returns {number} how many
 */
export function remove(RED, found) {
  const ids = found.filter(({ locked }) => !locked).map(({ id }) => id);
  if (ids.length === 0) return 0;
  // What is gone must not stay selected: the next thing done to the selection would be done to it.
  RED.view.select(null);
  const event = { t: 'delete', nodes: /** @type {any[]} */ ([]), links: /** @type {any[]} */ ([]), dirty: RED.nodes.dirty() };
  for (const id of ids) {
    const node = RED.nodes.node(id);
    const { nodes, links } = RED.nodes.remove(id);
    event.nodes.push(node, ...nodes);
    event.links.push(...links);
    if (node.g) leaveGroup(RED, node);
  }
  RED.history.push(event);
  RED.nodes.dirty(true);
  RED.view.redraw(true);
  return ids.length;
}

/** The node keeps the group's id: undoing puts it back. @param {any} RED @param {any} node */
function leaveGroup(RED, node) {
  const group = RED.nodes.group(node.g);
  if (!group) return;
  group.nodes.splice(group.nodes.indexOf(node), 1);
  RED.group.markDirty(group);
}

/**
 * One is gone to; more are listed by the editor's search.
 * @param {any} RED
 * @param {string} type
 * @param {readonly LegacyNode[]} found
 */
export function show(RED, type, found) {
  const [first] = found;
  if (found.length > 1) {
    // The search knows an unknown node's type by its name only.
    RED.search.show(found.every(({ id }) => RED.nodes.node(id)?.type === type) ? `type:"${type}"` : type);
  } else if (first !== undefined) {
    RED.view.reveal(first.id);
    RED.view.select(first.id);
  }
}
