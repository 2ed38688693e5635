// Whether to advise somebody to delete the legacy nodes. Apart from the editor, so that it can be looked at by itself.

const LATER_MS = 7 * 24 * 60 * 60 * 1000;

/** Until when somebody wants to be left alone about so many nodes. @typedef {{count: number, until: number}} Later */
/**
 * @typedef {{
 *   legacy: {needed: boolean} | null, found: number, mayEdit: boolean, later: Later | null, now: number,
 * }} Facts `legacy`: what the runtime says, null before it did; `found`: how many are open in this editor
 */

/**
 * @param {Facts} facts
 * @returns {boolean}
 */
export function advise({ legacy, found, mayEdit, later, now }) {
  if (legacy === null || legacy.needed || found === 0 || !mayEdit) return false;
  return later === null || later.count !== found || !lasts(later, now);
}

/**
 * @param {number} count of nodes that were found
 * @param {number} now
 * @returns {Later}
 */
export function laterFrom(count, now) {
  return { count, until: now + LATER_MS };
}

/**
 * What was kept, if it still is what it should be.
 * @param {unknown} kept
 * @returns {Later | null}
 */
export function readLater(kept) {
  const { count, until } = /** @type {any} */ (kept ?? {});
  return Number.isInteger(count) && Number.isFinite(until) ? { count, until } : null;
}

/** A clock that was set back must not make it last for years. @param {Later} later @param {number} now */
function lasts({ until }, now) {
  return now < until && until - now <= LATER_MS;
}
