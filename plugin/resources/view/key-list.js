// The list of keys: one stop for the Tab key, arrows within.

import { element } from '../dom.js';
import { FORMS, reference } from '../references.js';
import { users } from './users.js';

/** @typedef {import('../changes.js').Key} Key */

const MASK = '••••••••';

export class KeyList {
  #RED;
  #text;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** Where the Tab key leads. @type {string | null} */
  #current = null;
  #grid;

  /**
   * @param {any} RED
   * @param {import('../text.js').Text} text
   */
  constructor(RED, text) {
    this.#RED = RED;
    this.#text = text;
    this.#grid = element('div', {
      role: 'grid', 'aria-label': text.say('sidebar.secrets.list'), 'aria-readonly': 'true', class: 'secret-manager-keys',
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event), onfocusin: (/** @type {FocusEvent} */ event) => this.#focused(event),
    });
    this.copied = element('p', { role: 'status', class: 'secret-manager-copied' });
    this.root = this.#grid;
  }

  /**
   * @param {readonly Key[]} keys
   * @param {import('../changes.js').Marks} marks
   * @param {import('../usage.js').Usage} usage
   */
  show(keys, marks, usage) {
    const names = new Set(keys.map(({ name }) => name));
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      row.root.remove();
      this.#rows.delete(name);
    }
    let after = null;
    for (const key of keys) {
      const row = this.#rows.get(key.name) ?? this.#made(key.name);
      row.update(key, marks.get(key.name) ?? null, usage.get(key.name) ?? []);
      const place = after === null ? this.#grid.firstChild : after.nextSibling;
      if (row.root !== place) this.#grid.insertBefore(row.root, place);
      after = row.root;
    }
    this.#grid.hidden = keys.length === 0;
    if (this.#current === null || !names.has(this.#current)) this.#lead(keys[0]?.name ?? null);
  }

  focus() {
    this.#rows.get(this.#current ?? '')?.root.focus();
  }

  /** @param {string} name */
  #made(name) {
    const row = new Row(this.#RED, this.#text, name, (form) => this.#copy(name, form));
    this.#rows.set(name, row);
    return row;
  }

  /** @param {string} name @param {import('../references.js').Form} form */
  #copy(name, form) {
    const copied = reference(name, form);
    const done = this.#RED.clipboard.copyText(copied);
    this.copied.textContent = this.#text.say(done ? 'sidebar.secrets.copied' : 'sidebar.secrets.not-copied', { text: copied });
  }

  /** @param {string | null} name */
  #lead(name) {
    this.#rows.get(this.#current ?? '')?.root.setAttribute('tabindex', '-1');
    this.#current = name;
    this.#rows.get(name ?? '')?.root.setAttribute('tabindex', '0');
  }

  /** @param {FocusEvent} event */
  #focused({ target }) {
    const row = /** @type {HTMLElement} */ (target).closest('[role=row]');
    const [name] = [...this.#rows].find(([, one]) => one.root === row) ?? [null];
    if (name !== null) this.#lead(name);
  }

  /** Up and down between rows, left and right between what a row offers. @param {KeyboardEvent} event */
  #key(event) {
    const at = /** @type {HTMLElement} */ (event.target);
    const row = at.closest('[role=row]');
    if (row === null) return;
    const rows = [...this.#grid.children];
    const stops = [row, ...row.querySelectorAll('button')].filter((one) => one === row || one.getClientRects().length > 0);
    const here = stops.indexOf(at);
    const to = {
      ArrowDown: rows[rows.indexOf(row) + 1], ArrowUp: rows[rows.indexOf(row) - 1], Home: rows[0], End: rows.at(-1),
      ArrowRight: stops[here + 1], ArrowLeft: stops[here - 1], Escape: at === row ? undefined : row,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    to.focus();
  }
}

/** One key. Its value is not here, so there is nothing to unmask. */
class Row {
  #RED;
  #text;
  #name;
  #copy;
  #shown = '';
  #open = false;
  /** @type {readonly import('../usage.js').User[]} */
  #nodes = [];
  #format;
  #value;
  #mark;
  #use;
  #users;

  /**
   * @param {any} RED
   * @param {import('../text.js').Text} text
   * @param {string} name
   * @param {(form: import('../references.js').Form) => void} copy
   */
  constructor(RED, text, name, copy) {
    this.#RED = RED;
    this.#text = text;
    this.#name = name;
    this.#copy = copy;
    this.#format = element('span');
    this.#mark = element('span', { class: 'secret-manager-mark', hidden: true });
    this.#use = element('button', { type: 'button', tabindex: '-1', class: 'secret-manager-plain secret-manager-link', onclick: () => this.#toggle() });
    this.#users = element('div', { role: 'gridcell', class: 'secret-manager-users', hidden: true });
    this.#value = element('div', { role: 'gridcell', class: 'secret-manager-value' }, this.#format, ' ',
      element('span', { 'aria-hidden': 'true' }, MASK),
      element('span', { class: 'secret-manager-copy' }, ...FORMS.map((form) => this.#copier(form))));
    this.root = element('div', { role: 'row', tabindex: '-1', class: 'secret-manager-key' },
      element('span', { role: 'rowheader', class: 'secret-manager-name' }, element('code', {}, name), this.#mark),
      this.#value, element('span', { role: 'gridcell', class: 'secret-manager-used' }, this.#use), this.#users);
  }

  /**
   * @param {Key} key
   * @param {string | null} mark
   * @param {readonly import('../usage.js').User[]} nodes
   */
  update({ format }, mark, nodes) {
    const shown = JSON.stringify([format, mark, nodes]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#nodes = nodes;
    const said = this.#text.say(`sidebar.secrets.format.${format === 'json' ? 'json' : 'text'}`);
    this.#format.textContent = said;
    this.root.classList.toggle('secret-manager-marked', mark !== null);
    this.#mark.hidden = mark === null;
    this.#mark.textContent = mark === null ? '' : this.#text.say(`sidebar.secrets.mark.${mark}`);
    this.#use.hidden = nodes.length === 0;
    this.#use.textContent = this.#text.count('sidebar.secrets.used', nodes.length);
    // Named, so that what can be copied is read when it is come to, and not with every key.
    const value = this.#text.say('sidebar.secrets.value', { format: said });
    this.#value.setAttribute('aria-label', value);
    this.root.setAttribute('aria-label', [this.#name, this.#mark.textContent, value, nodes.length > 0 ? this.#use.textContent : ''].filter(Boolean).join(', '));
    this.#open = this.#open && nodes.length > 1;
    this.#showUsers();
  }

  /** @param {import('../references.js').Form} form */
  #copier(form) {
    const label = this.#text.say(`sidebar.secrets.copy.${form}`, { text: reference(this.#name, form) });
    return element('button', {
      type: 'button', tabindex: '-1', class: 'secret-manager-plain', title: label, 'aria-label': label, onclick: () => this.#copy(form),
    }, this.#text.say(`sidebar.secrets.form.${form}`));
  }

  /** One is shown in its flow at once, of several there is a choice. */
  #toggle() {
    if (this.#nodes.length === 1) {
      this.#RED.view.reveal(this.#nodes[0].id);
      return;
    }
    this.#open = !this.#open;
    this.#showUsers();
  }

  #showUsers() {
    if (this.#nodes.length > 1) this.#use.setAttribute('aria-expanded', String(this.#open));
    else this.#use.removeAttribute('aria-expanded');
    this.#users.hidden = !this.#open;
    this.#users.replaceChildren(...(this.#open ? [users(this.#RED, this.#text, this.#nodes)] : []));
  }
}
