'use strict';

/** @typedef {{version: number | null, revision: string | null, keys: readonly import('../snapshot').Key[], last: Last}} KeyListBody */
/** @typedef {import('../snapshot').Changes & {at: Date | null}} Last what the last swap that changed a key changed */

/** The names and formats of what flows read, and what last changed in them. */
class KeyList {
  #holder;
  /** @type {Last} */
  #last = { added: [], changed: [], removed: [], at: null };

  /** @param {import('../holder').Holder} holder */
  constructor(holder) {
    this.#holder = holder;
    holder.on('swap', this.#swapped);
  }

  /** @returns {KeyListBody} */
  body() {
    const { current } = this.#holder;
    return { version: current?.version ?? null, revision: current?.revision ?? null, keys: current?.keys ?? [], last: this.#last };
  }

  close() {
    this.#holder.removeListener('swap', this.#swapped);
  }

  /** What the start brings is no change to anybody. */
  #swapped = (/** @type {unknown} */ _, /** @type {unknown} */ previous, /** @type {import('../snapshot').Changes} */ changes) => {
    const count = changes.added.length + changes.changed.length + changes.removed.length;
    if (previous !== null && count > 0) this.#last = { ...changes, at: new Date() };
  };
}

module.exports = { KeyList };
