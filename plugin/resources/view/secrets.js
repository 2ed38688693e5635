// The Secrets section: the list of what flows read now, and what they ask for in vain.

import { changesSaid } from '../changes.js';
import { element, icon, setText } from '../dom.js';
import { missing } from '../usage.js';
import { KeyList } from './key-list.js';
import { users } from './users.js';

/** @typedef {import('../store.js').Facts} Facts */

export class Secrets {
  #RED;
  #text;
  #search;
  #list;
  #empty;
  #notice;
  #changed;
  #seen;
  #missing;
  #found;
  #shownMissing = '';
  /** @type {Facts | null} */
  #facts = null;

  /**
   * @param {any} RED
   * @param {import('../text.js').Text} text
   * @param {import('../commands.js').Commands} commands
   */
  constructor(RED, text, commands) {
    this.#RED = RED;
    this.#text = text;
    this.#search = element('input', {
      type: 'search', 'aria-label': text.say('sidebar.secrets.search'), placeholder: text.say('sidebar.secrets.search'), autocomplete: 'off',
      spellcheck: 'false', class: 'secret-manager-search', oninput: () => this.#show(), onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
    });
    this.#changed = element('span', { role: 'status' });
    this.#seen = element('button', {
      type: 'button', class: 'secret-manager-plain', 'aria-label': text.say('sidebar.secrets.seen'), title: text.say('sidebar.secrets.seen'),
      onclick: () => this.#forget(commands),
    }, icon('times'));
    this.#notice = element('div', {}, icon('bolt'), this.#changed, this.#seen);
    this.#missing = element('div', { class: 'secret-manager-missing', hidden: true });
    this.#found = element('span', { role: 'status', class: 'secret-manager-found' });
    this.#empty = element('p', { class: 'secret-manager-empty' });
    this.#list = new KeyList(RED, text);
    this.root = element('section', { 'aria-labelledby': 'secret-manager-secrets', class: 'secret-manager-section secret-manager-secrets' },
      element('div', { class: 'secret-manager-sticky' },
        element('div', { class: 'secret-manager-head' }, element('h3', { id: 'secret-manager-secrets' }, text.say('sidebar.secrets.title')), this.#found),
        this.#search, this.#list.copied),
      this.#notice, this.#missing, this.#empty, this.#list.root);
  }

  /** @param {Facts} facts */
  update(facts) {
    this.#facts = facts;
    this.#show();
    this.#showChanges();
    this.#showMissing();
  }

  search() {
    this.#search.focus();
    this.#search.select();
  }

  #show() {
    const { keys, marks, usage, state, mayRead } = /** @type {Facts} */ (this.#facts);
    const asked = this.#search.value.trim().toLowerCase();
    const all = keys?.keys ?? [];
    const shown = asked === '' ? all : all.filter(({ name }) => name.toLowerCase().includes(asked));
    this.#list.show(shown, marks, usage);
    this.#search.hidden = all.length === 0;
    setText(this.#found, all.length === 0 ? '' : asked === '' ? this.#text.count('sidebar.secrets.count', all.length)
      : this.#text.say('sidebar.secrets.found', { count: shown.length, all: all.length }));
    setText(this.#empty, mayRead ? this.#whyEmpty(all.length, shown.length, state) : '');
  }

  /** @param {number} all @param {number} shown @param {any} state */
  #whyEmpty(all, shown, state) {
    if (shown > 0) return '';
    if (all > 0) return this.#text.say('sidebar.secrets.none-found', { asked: this.#search.value.trim() });
    if (state === null) return this.#text.say('sidebar.status.asking');
    if (state.served === false || state.protection === 'none') return this.#text.say('sidebar.secrets.not-given');
    return this.#text.say(state.snapshot?.version === null ? 'sidebar.secrets.none-yet' : 'sidebar.secrets.none');
  }

  /** Down goes into the list, Escape shows all again. @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      this.#list.focus();
    } else if (event.key === 'Escape' && this.#search.value !== '') {
      event.stopPropagation();
      this.#search.value = '';
      this.#show();
    }
  }

  /** The button goes, and the focus with it. @param {import('../commands.js').Commands} commands */
  #forget(commands) {
    commands.forgetMarks();
    this.#search.focus();
  }

  #showChanges() {
    const said = changesSaid(/** @type {Facts} */ (this.#facts).marks, this.#text);
    // Out of sight only: what is announced must have been there before.
    this.#notice.className = said === '' ? 'secret-manager-unseen' : 'secret-manager-notice';
    this.#seen.hidden = said === '';
    setText(this.#changed, said);
  }

  #showMissing() {
    const { keys, usage, state } = /** @type {Facts} */ (this.#facts);
    const known = keys !== null && state?.served !== false && state?.protection !== 'none' && state?.snapshot?.version !== null;
    const names = known ? missing(usage, keys.keys.map(({ name }) => name)) : [];
    const shown = JSON.stringify(names.map((name) => [name, usage.get(name)]));
    if (shown === this.#shownMissing) return;
    this.#shownMissing = shown;
    this.#missing.hidden = names.length === 0;
    this.#missing.replaceChildren(...(names.length === 0 ? [] : [element('details', {},
      element('summary', {}, icon('exclamation-triangle'), this.#text.count('sidebar.secrets.missing', names.length)),
      element('ul', {}, ...names.map((name) => element('li', {}, element('code', {}, name), users(this.#RED, this.#text, usage.get(name) ?? [])))))]));
  }
}
