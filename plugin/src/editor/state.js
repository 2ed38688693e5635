'use strict';

/**
 * What the plugin says of itself. `served`: whether it, not another package's legacy node, gives secrets to flows here;
 * `protectionReason`: why there is none, for people. Of the legacy nodes: `count` is null before flows are loaded; `ours`: whether
 * the type that flows get is our node; `needed`: below Flow App 5.3.0.
 * @typedef {{
 *   plugin: string, served: boolean, flowAppVersion: string | null,
 *   protection: import('../plugin').ProtectionMode, protectionReason: string | null,
 *   legacy: {type: string, count: number | null, ours: boolean, needed: boolean},
 * }} About
 */

/**
 * All that the sidebar's first section is made of: words, times and counts. No key's name, so that it may go to every editor.
 * @param {{about: About, holder: import('../holder').Holder, operator: import('./operator-status').Standing, saves: {pending: boolean}}} of
 */
function stateOf({ about, holder, operator, saves }) {
  const { legacy, ...plugin } = about;
  return { ...plugin, snapshot: snapshotOf(holder), operator: { ...operator, status: withoutNames(operator.status) }, legacy, saves };
}

/** @param {import('../holder').Holder} holder */
function snapshotOf({ state, current, loadedAt, staleSince, problem }) {
  return {
    state, problem, loadedAt, staleSince,
    version: current?.version ?? null, revision: current?.revision ?? null, count: current?.keys.length ?? 0,
    createdAt: current?.createdAt ?? null, updatedAt: current?.updatedAt ?? null, issuedAt: current?.issuedAt ?? null,
    space: current?.space ?? null,
  };
}

/**
 * One condition names keys: those that Kubernetes cannot hold.
 * @param {any} status of the operator
 */
function withoutNames(status) {
  if (!Array.isArray(status?.conditions)) return status;
  const conditions = status.conditions.map((/** @type {any} */ condition) =>
    (condition?.type === 'KeysComplete' ? { ...condition, message: '' } : condition));
  return { ...status, conditions };
}

module.exports = { stateOf };
