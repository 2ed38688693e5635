/** @typedef {import('./changes.js').Keys} Keys */
/** @typedef {import('./changes.js').Marks} Marks */
/** @typedef {{step: string, seconds: number, mine: boolean}} Progress of a sync; `mine`: asked for in this editor */
/** @typedef {{kind: 'sync' | 'settings', outcome: any, at: string}} Answer the last one to what was asked for in this editor */
/**
 * All that the sidebar knows.
 * @typedef {{
 *   state: any, lost: boolean, keys: Keys | null, marks: Marks, usage: import('./usage.js').Usage,
 *   progress: Progress | null, answer: Answer | null, saving: string | null, mayRead: boolean, mayWrite: boolean,
 * }} Facts `saving`: the setting that is on its way
 */

/** Holds what is known, and tells who shows it. */
export class Store {
  /** @type {Facts} */
  #facts = {
    state: null, lost: false, keys: null, marks: new Map(), usage: new Map(), progress: null, answer: null, saving: null, mayRead: true, mayWrite: false,
  };
  /** @type {((facts: Facts) => void)[]} */
  #viewers = [];
  #telling = false;

  get facts() { return this.#facts; }

  /** @param {Partial<Facts>} news */
  set(news) {
    this.#facts = { ...this.#facts, ...news };
    if (this.#telling) return;
    this.#telling = true;
    // What changes together is shown at once.
    queueMicrotask(() => {
      this.#telling = false;
      for (const viewer of this.#viewers) viewer(this.#facts);
    });
  }

  /** @param {(facts: Facts) => void} viewer */
  view(viewer) {
    this.#viewers.push(viewer);
    viewer(this.#facts);
  }
}
