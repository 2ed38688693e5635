// What is new in the list, since somebody last looked.

/** @typedef {{name: string, format: string}} Key */
/** @typedef {{version: number, revision: string, keys: Key[],
 *   last?: {added: string[], changed: string[], removed: string[], at: string} | null}} Keys the answer of `GET secret-manager/keys` */
/** @typedef {ReadonlyMap<string, 'added' | 'changed' | 'removed'>} Marks */

/** So many names in a notice; the list marks them all. */
const NAMED = 5;

/**
 * Adds to the marks what an answer brought. Nothing is marked by the first answer: all of it would be.
 * @param {Marks} marks
 * @param {Keys | null} before
 * @param {Keys} now
 * @returns {Marks}
 */
export function mark(marks, before, now) {
  if (before === null || before.revision === now.revision) return marks;
  const had = new Set(before.keys.map((key) => key.name));
  const has = new Set(now.keys.map((key) => key.name));
  const next = new Map(marks);
  // Only the runtime knows whose value is another; who came and went is seen here, also over several swaps at once.
  for (const name of now.last?.changed ?? []) if (has.has(name) && next.get(name) !== 'added') next.set(name, 'changed');
  for (const name of has) if (!had.has(name)) next.set(name, next.get(name) === 'removed' ? 'changed' : 'added');
  for (const name of had) {
    if (has.has(name)) continue;
    if (next.get(name) === 'added') next.delete(name);
    else next.set(name, 'removed');
  }
  return next;
}

/**
 * @param {Marks} marks
 * @param {import('./text.js').Text} text
 */
export function changesSaid(marks, text) {
  return /** @type {const} */ (['added', 'changed', 'removed']).flatMap((what) => {
    const names = [...marks].filter(([, mark]) => mark === what).map(([name]) => name).sort();
    if (names.length === 0) return [];
    const more = names.length > NAMED ? ` ${text.say('sidebar.secrets.notice.more', { count: names.length - NAMED })}` : '';
    return [text.say(`sidebar.secrets.notice.${what}`, { names: names.slice(0, NAMED).join(', ') + more })];
  }).join(' · ');
}
