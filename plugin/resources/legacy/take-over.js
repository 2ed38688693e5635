// Which of the legacy nodes' settings the plugin could have, and does not have.

import { oldSettings } from './old-settings.js';

/** @typedef {'autoSync' | 'syncOnSave'} Name */
/**
 * `wanted`: what would be changed; `here`: what is in force instead; `owned`: what differs as well, and is somebody's, by name of the
 * setting; `flowApps`: how many the change would be for.
 * @typedef {{autoSync?: string, syncOnSave?: boolean}} Values
 * @typedef {{wanted: Values, here: Values, owned: Partial<Record<Name, string>>, flowApps: number}} Difference
 */

/** @type {readonly Name[]} */
const NAMES = ['autoSync', 'syncOnSave'];

/**
 * Of more nodes than one, the first that says something is the one that was heard.
 * @param {readonly Record<string, unknown>[]} definitions of the legacy nodes
 * @param {any} status the operator's, null where it is not known
 * @returns {Difference}
 */
export function difference(definitions, status) {
  /** @type {any} */
  const old = Object.assign({}, ...definitions.map(oldSettings).reverse());
  /** @type {any} */
  const wanted = {};
  /** @type {any} */
  const here = {};
  /** @type {Difference['owned']} */
  const owned = {};
  for (const name of NAMES) {
    const setting = status?.[name] ?? null;
    if (setting === null || old[name] === undefined || old[name] === setting.value) continue;
    if (setting.managedBy) owned[name] = setting.managedBy;
    else [wanted[name], here[name]] = [old[name], setting.value];
  }
  return { wanted, here, owned, flowApps: wanted.autoSync === undefined ? 1 : status?.flowApps ?? 1 };
}
