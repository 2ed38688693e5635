// The button, what goes on after it was pressed, and how it ended.

import { element, icon, setText } from '../dom.js';
import { Times } from '../times.js';

export class SyncNow {
  #text;
  #icon;

  /**
   * @param {import('../text.js').Text} text
   * @param {import('../commands.js').Commands} commands
   */
  constructor(text, commands) {
    this.#text = text;
    this.#icon = icon('refresh');
    this.button = element('button', { type: 'button', class: 'red-ui-button red-ui-button-small secret-manager-sync', onclick: () => commands.syncNow() },
      this.#icon, element('span', {}, text.say('sidebar.sync.now')));
    this.said = element('p', { role: 'status', class: 'secret-manager-outcome' });
  }

  /** @param {import('../store.js').Facts} facts */
  update({ progress, answer, mayWrite, state }) {
    const can = mayWrite && state !== null && state.served !== false;
    // Disabled by attribute it would lose the focus in the middle of a sync.
    this.button.toggleAttribute('disabled', !can);
    this.button.setAttribute('aria-disabled', String(!can || progress !== null));
    this.#icon.classList.toggle('fa-spin', progress !== null);
    const ended = answer?.kind === 'sync' ? answer : null;
    const error = ended?.outcome.outcome === 'error';
    this.said.classList.toggle('secret-manager-bad', progress === null && error);
    setText(this.said, progress !== null ? this.#step(progress) : ended !== null ? this.#ended(ended) : '');
  }

  /** Seconds only once it takes long. @param {import('../store.js').Progress} progress */
  #step({ step, seconds }) {
    const said = this.#text.say(`sidebar.sync.${step}`);
    return seconds < 3 ? said : this.#text.say('sidebar.sync.since', { step: said, seconds });
  }

  /** @param {import('../store.js').Answer} answer */
  #ended({ outcome, at }) {
    const { version, checkedAt, reason, message } = outcome;
    switch (outcome.outcome) {
      case 'loaded': return this.#text.say('sidebar.sync.loaded', { version });
      case 'newest': return this.#text.say('sidebar.sync.newest', { at: new Times(this.#text).exact(checkedAt ?? at) });
      case 'suspended': return this.#text.say('sidebar.sync.suspended');
      default: return this.#text.say('sidebar.sync.error', { why: this.#text.explain(reason, message) });
    }
  }
}
