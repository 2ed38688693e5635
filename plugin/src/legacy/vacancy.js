'use strict';

/** The installation before, also of another copy of this package: the newest serves. */
const INSTALLED = Symbol.for('spacesync.legacy-type');

/**
 * Our node has the type as long as nobody else has it.
 *
 * It is not registered under the type: whoever registered it second would fail, by whatever name and whenever it was installed,
 * and Node-RED keeps no flow running whose type belongs to a node set that failed. So the registry gives our node only where it
 * has none, or none that works.
 * @param {import('./registry').Registry} registry
 * @param {{type: string, set: string, node: Function}} of `set`: the id of our node set
 * @returns {{readonly ours: boolean, close(): void}} `ours`: whether flows get our node
 */
function fill({ index, set }, { type, set: id, node }) {
  /** @type {any} */ (globalThis)[INSTALLED]?.close();
  const { get: stock } = index;
  let open = true;
  const ours = () => {
    const here = open ? set(id) : null;
    return here !== null && here !== undefined && here.enabled && !here.err && !stock(type);
  };
  const get = (/** @type {string} */ asked) => (asked === type && ours() ? node : stock(asked));
  index.get = get;

  // What the editor knows a type by. It would lay claim to another package's node where that one has the type.
  const here = set(id);
  if (here !== null) Object.defineProperty(here, 'types', { configurable: true, enumerable: true, get: () => (ours() ? [type] : []) });

  const vacancy = {
    get ours() { return ours(); },
    close() {
      open = false;
      if (index.get === get) index.get = stock;
      if (/** @type {any} */ (globalThis)[INSTALLED] === vacancy) delete /** @type {any} */ (globalThis)[INSTALLED];
    },
  };
  /** @type {any} */ (globalThis)[INSTALLED] = vacancy;
  return vacancy;
}

module.exports = { fill };
