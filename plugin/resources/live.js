// Keeps the store in step with the runtime.

import { mark } from './changes.js';

/** Somebody else's sync that says nothing more for so long has ended. */
const PROGRESS_MS = 4_000;

/** Follows what the runtime tells over the editor's web socket; names of keys are fetched, never sent there. */
export class Live {
  #RED;
  #api;
  #store;
  /** @type {string | null} */
  #tag = null;
  /** Counts what was told, so that an answer that is older than it is dropped. */
  #told = 0;
  #fetching = false;
  #again = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;

  /**
   * @param {any} RED
   * @param {import('./api.js').Api} api
   * @param {import('./store.js').Store} store
   */
  constructor(RED, api, store) {
    this.#RED = RED;
    this.#api = api;
    this.#store = store;
  }

  start() {
    const { comms } = this.#RED;
    comms.subscribe('secret-manager/swap', () => this.fetchKeys());
    comms.subscribe('secret-manager/state', (/** @type {string} */ _topic, /** @type {any} */ state) => {
      this.#told += 1;
      this.#takeState(state);
    });
    comms.subscribe('secret-manager/sync', (/** @type {string} */ _topic, /** @type {any} */ told) => this.#progress(told));
    // Also after the runtime was away: what was told meanwhile, nobody heard.
    comms.on('connect', () => this.refresh());
    return this.refresh();
  }

  async refresh() {
    if (!this.#store.facts.mayRead) return;
    await Promise.all([this.fetchState(), this.fetchKeys()]);
  }

  async fetchState() {
    const told = this.#told;
    const { status, body } = await this.#api.state();
    if (told !== this.#told) return;
    if (status === 200 && body !== null) this.#takeState(body);
    else this.#store.set({ lost: true });
  }

  /** A list that does not fit it was fetched before a swap that nobody told of. @param {any} state */
  #takeState(state) {
    this.#store.set({ state, lost: false });
    const { keys } = this.#store.facts;
    if (keys !== null && !this.#fetching && keys.revision !== state.snapshot?.revision) this.fetchKeys();
  }

  /** One at a time: an earlier answer never comes after a later one. */
  async fetchKeys() {
    if (!this.#store.facts.mayRead) return;
    if (this.#fetching) {
      this.#again = true;
      return;
    }
    this.#fetching = true;
    do {
      this.#again = false;
      const { status, body, tag } = await this.#api.keys(this.#tag);
      if (status !== 200 || body === null) continue;
      this.#tag = tag;
      const { keys, marks } = this.#store.facts;
      this.#store.set({ keys: body, marks: mark(marks, keys, body) });
    } while (this.#again);
    this.#fetching = false;
  }

  /** @param {{step: string, seconds: number}} told */
  #progress({ step, seconds }) {
    clearTimeout(this.#silence);
    // It may come before the answer to whoever asked, who then waits for that, or after it.
    if (step === 'done') {
      this.#over();
      return;
    }
    const mine = this.#store.facts.progress?.mine ?? false;
    this.#store.set({ progress: { step, seconds, mine } });
    if (!mine) this.#silence = setTimeout(() => this.#over(), PROGRESS_MS);
  }

  #over() {
    if (this.#store.facts.progress?.mine === false) this.#store.set({ progress: null });
  }
}
