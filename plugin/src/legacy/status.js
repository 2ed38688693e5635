'use strict';

const { reason } = require('../reason');

/**
 * What is known when a node says how it stands. `first`: whether it is the one that is needed; `operator`: its word, which is asked
 * for while an editor is open; `refused`: who owns a setting that it asked for.
 * @typedef {{
 *   first: boolean, served: boolean, protection: import('../plugin').ProtectionMode,
 *   holder: Pick<import('../holder').Holder, 'state' | 'current' | 'problem'>, refused: string | null,
 *   operator: Pick<import('../editor/operator-status').Standing, 'reachable' | 'status'> | null,
 * }} Facts
 * @typedef {{fill: 'green' | 'yellow' | 'red' | 'grey', shape: 'dot' | 'ring', text: string}} NodeStatus
 */

/** The first that speaks decides. @type {((facts: Facts, say: import('../log').Log['say']) => NodeStatus | null)[]} */
const RULES = [second, notServed, notProtected, nothingYet, stale, unchecked, notSynced, refused, synced];

/**
 * What stands below a legacy node, where it serves.
 * @param {Facts} facts
 * @param {import('../log').Log['say']} say
 * @returns {NodeStatus}
 */
function statusOf(facts, say) {
  for (const rule of RULES) {
    const status = rule(facts, say);
    if (status !== null) return status;
  }
  throw new Error('the last rule always speaks');
}

/** @type {typeof RULES[number]} */
function second({ first }, say) {
  return first ? null : { fill: 'yellow', shape: 'ring', text: say('legacy.status.second') };
}

/** @type {typeof RULES[number]} */
function notServed({ served }, say) {
  return served ? null : { fill: 'grey', shape: 'ring', text: say('legacy.status.waiting') };
}

/** @type {typeof RULES[number]} */
function notProtected({ protection }, say) {
  return protection === 'none' ? { fill: 'red', shape: 'ring', text: say('legacy.status.unprotected') } : null;
}

/** @type {typeof RULES[number]} */
function nothingYet({ holder }, say) {
  if (holder.current !== null) return null;
  const missing = holder.problem === null || holder.problem === 'SnapshotMissing';
  return missing ? { fill: 'grey', shape: 'ring', text: say('legacy.status.waiting') }
    : { fill: 'red', shape: 'ring', text: say('legacy.status.unreadable', { word: holder.problem ?? '' }) };
}

/** @type {typeof RULES[number]} */
function stale({ holder }, say) {
  if (holder.state !== 'stale') return null;
  return { fill: 'yellow', shape: 'dot', text: say('legacy.status.stale', { version: holder.current?.version ?? '', word: holder.problem ?? '' }) };
}

/** @type {typeof RULES[number]} */
function unchecked({ holder, operator }, say) {
  if (operator?.reachable !== false) return null;
  return { fill: 'yellow', shape: 'dot', text: say('legacy.status.unchecked', { version: holder.current?.version ?? '' }) };
}

/** @type {typeof RULES[number]} */
function notSynced({ holder, operator }, say) {
  const synced = operator?.status?.conditions?.find?.((/** @type {any} */ condition) => condition?.type === 'Synced');
  const word = synced?.status === 'False' ? reason(synced.reason) : null;
  if (word === null) return null;
  const text = say(`reason.${word}`);
  // A newer operator may have a reason that there is no text for.
  const why = text.endsWith(`reason.${word}`) ? word : text;
  return { fill: 'yellow', shape: 'dot', text: say('legacy.status.kept', { version: holder.current?.version ?? '', why }) };
}

/** @type {typeof RULES[number]} */
function refused({ holder, refused: owner }, say) {
  if (owner === null) return null;
  return { fill: 'green', shape: 'ring', text: say('legacy.status.refused', { version: holder.current?.version ?? '', owner }) };
}

/** @type {typeof RULES[number]} */
function synced({ holder }, say) {
  return { fill: 'green', shape: 'dot', text: say('legacy.status.synced', { version: holder.current?.version ?? '' }) };
}

module.exports = { statusOf };
