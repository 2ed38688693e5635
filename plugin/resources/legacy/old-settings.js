// What legacy Secret Manager nodes were set to. Both halves read it here: the runtime's node, and the editor's prompt.

/** Under which names the settings may stand: our node's, and those that an older package may have used. */
export const FIELDS = {
  autoSync: ['autosync', 'autoSync', 'interval', 'syncInterval'],
  syncOnSave: ['syncOnSave', 'synconsave'],
};

/** What `autoSync` may be, by minutes. @type {Record<string, string>} */
const BY_MINUTES = { 1: '1m', 30: '30m', 60: '60m', 720: '12h', 1440: '24h' };

/**
 * @param {Record<string, unknown>} node as flows hold it
 * @returns {{autoSync?: string, syncOnSave?: boolean}} without what it does not say, or says in no way that is known
 */
export function oldSettings(node) {
  const autoSync = first(FIELDS.autoSync, node, interval);
  const syncOnSave = first(FIELDS.syncOnSave, node, truth);
  return { ...(autoSync !== undefined && { autoSync }), ...(syncOnSave !== undefined && { syncOnSave }) };
}

/**
 * @template T
 * @param {string[]} names
 * @param {Record<string, unknown>} node
 * @param {(value: unknown) => T | undefined} read
 */
function first(names, node, read) {
  for (const name of names) {
    const found = read(node[name]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * @param {unknown} value minutes, or words: `30m`, `30`, `30 min`, `Every 12 hours`
 * @returns {string | undefined}
 */
function interval(value) {
  const match = /^(?:every\s+)?(\d+)\s*(m|min|mins|minutes?|h|hours?)?$/i.exec(String(value ?? '').trim());
  if (match === null) return undefined;
  return BY_MINUTES[Number(match[1]) * (/^h/i.test(match[2] ?? '') ? 60 : 1)];
}

/** @param {unknown} value */
function truth(value) {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') return undefined;
  return { true: true, false: false }[value.toLowerCase()];
}
