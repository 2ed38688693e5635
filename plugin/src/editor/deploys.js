'use strict';

/**
 * Tells of each deploy once, however it was made: by which button, in which mode, or by the admin API. Not of the one that
 * Node-RED reports when it loads its flows at the start; a plugin that is installed later on hears of no such one.
 *
 * It hangs on the runtime's own word, not on a node: nodes that a deploy leaves alone hear nothing of it.
 * @param {any} RED
 * @param {() => void} listener
 * @returns {{close(): void}}
 */
function onDeploy(RED, listener) {
  let starting = !flowsAreLoaded(RED);
  const heard = (/** @type {{id: string, payload?: {error?: unknown}}} */ { id, payload }) => {
    if (id === 'runtime-deploy') {
      if (starting) starting = false;
      else listener();
    }
    // No flows could be loaded: then there is none to wait for. (With broken credentials there is, and it comes before this.)
    if (id === 'runtime-state' && payload?.error !== undefined) setImmediate(() => { starting = false; });
  };
  RED.events.on('runtime-event', heard);
  return { close: () => RED.events.removeListener('runtime-event', heard) };
}

/**
 * Before they are, Node-RED has no list to go through.
 * @param {any} RED
 */
function flowsAreLoaded(RED) {
  try {
    RED.nodes.eachNode(() => {});
    return true;
  } catch {
    return false;
  }
}

module.exports = { onDeploy };
