// What people ask for in the sidebar.

/** Node-RED was not there, or what stands before it says so. */
const AWAY = new Set([0, 502, 503, 504]);

/** Does it, and puts the answer into the store. Each has an end, whatever happens. */
export class Commands {
  #api;
  #live;
  #store;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./live.js').Live} live
   * @param {import('./store.js').Store} store
   */
  constructor(api, live, store) {
    this.#api = api;
    this.#live = live;
    this.#store = store;
  }

  async syncNow() {
    const { progress, mayWrite } = this.#store.facts;
    if (progress?.mine || !mayWrite) return;
    this.#store.set({ progress: { step: 'asked', seconds: 0, mine: true }, answer: null });
    const { status, body } = await this.#api.sync();
    this.#store.set({ progress: null, answer: answer('sync', body?.outcome ? body : failure(status, body)) });
    await this.#live.refresh();
  }

  /**
   * @param {{autoSync?: string, syncOnSave?: boolean}} settings
   * @returns {Promise<import('./store.js').Answer>}
   */
  async choose(settings) {
    const [name] = Object.keys(settings);
    this.#store.set({ saving: name, answer: null });
    const { status, body } = await this.#api.settings(settings);
    if (status === 200) this.#take(body);
    const given = answer('settings', status === 200 ? { outcome: 'saved' } : failure(status, body));
    this.#store.set({ saving: null, answer: given });
    if (status !== 200) await this.#live.fetchState();
    return given;
  }

  forgetMarks() {
    this.#store.set({ marks: new Map() });
  }

  /** What is in force now, before the next state says it too. @param {any} settings */
  #take({ autoSync, syncOnSave }) {
    const { state } = this.#store.facts;
    if (!state?.operator?.status) return;
    const status = { ...state.operator.status, ...(autoSync && { autoSync }), ...(syncOnSave && { syncOnSave }) };
    this.#store.set({ state: { ...state, operator: { ...state.operator, status } } });
  }
}

/** @param {'sync' | 'settings'} kind @param {any} outcome @returns {import('./store.js').Answer} */
function answer(kind, outcome) {
  return { kind, outcome, at: new Date().toISOString() };
}

/** @param {number} status @param {any} body problem+json, or nothing */
function failure(status, body) {
  const reason = body?.reason ?? (AWAY.has(status) ? 'RuntimeAway' : status === 401 || status === 403 ? 'MayNotWrite' : 'RuntimeError');
  return { outcome: 'error', reason, message: body?.detail ?? body?.message ?? null, owner: body?.owner ?? null };
}
