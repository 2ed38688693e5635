// The Status section: the sentence, Sync now, what may be chosen, and the times.

import { element, icon, setText } from '../dom.js';
import { otherPods } from '../pods.js';
import { notes, sentence } from '../sentence.js';
import { Times } from '../times.js';
import { Settings } from './settings.js';
import { SyncNow } from './sync-now.js';

/** @typedef {import('../store.js').Facts} Facts */
/** @typedef {import('../text.js').Text} Text */

const ICONS = { good: 'check-circle', busy: 'refresh', attention: 'exclamation-circle', bad: 'times-circle' };

export class Status {
  #text;
  #icon;
  #said;
  #tail;
  #detail;
  #notes;
  #reader;
  #times;
  #settings;
  #syncNow;
  /** @type {Facts | null} */
  #facts = null;

  /**
   * @param {Text} text
   * @param {import('../commands.js').Commands} commands
   */
  constructor(text, commands) {
    this.#text = text;
    this.#settings = new Settings(text, commands);
    this.#syncNow = new SyncNow(text, commands);
    this.#icon = icon('refresh');
    // Only what is news is read aloud, not each second that passes.
    this.#said = element('span', { role: 'status', class: 'secret-manager-said' });
    this.#tail = element('span', { class: 'secret-manager-tail' });
    this.#detail = element('p', { class: 'secret-manager-note', lang: 'en' });
    this.#notes = element('p', { role: 'status', class: 'secret-manager-note' });
    this.#times = element('dl', { class: 'secret-manager-times' });
    this.#reader = element('p', { class: 'secret-manager-note', hidden: true }, icon('eye'), text.say('sidebar.reader'));
    this.root = element('section', { 'aria-labelledby': 'secret-manager-status', class: 'secret-manager-section' },
      element('h3', { id: 'secret-manager-status' }, text.say('sidebar.status.title')),
      element('p', { class: 'secret-manager-sentence' }, this.#icon, element('span', {}, this.#said, this.#tail)),
      this.#detail, this.#notes, this.#reader, this.#syncNow.root, this.#settings.root, this.#times);
  }

  /** @param {Facts} facts */
  update(facts) {
    this.#facts = facts;
    this.#reader.hidden = facts.mayWrite;
    this.#syncNow.update(facts);
    this.#settings.update(facts);
    this.tick();
  }

  /** Time has passed. */
  tick() {
    if (this.#facts === null) return;
    const times = new Times(this.#text);
    const { text, tail = '', detail = '', tone } = sentence(this.#facts, this.#text, times);
    this.#icon.className = `fa fa-${ICONS[tone]} secret-manager-${tone}`;
    setText(this.#said, text);
    setText(this.#tail, tail && ` · ${tail}`);
    setText(this.#detail, text.includes(detail) ? '' : detail);
    setText(this.#notes, notes(this.#facts, this.#text).join('. '));
    this.#updateTimes(times);
  }

  /** @param {Times} times */
  #updateTimes(times) {
    const state = this.#facts?.state;
    const status = state?.operator?.status;
    const at = (/** @type {string | null | undefined} */ iso) => (iso ? `${times.ago(iso)} (${times.exact(iso)})` : null);
    const others = otherPods(status);
    /** @type {[string, string | null][]} */
    const rows = [
      ['checked', at(status?.lastChecked)],
      ['updated', at(state?.snapshot?.updatedAt)],
      ['issued', at(state?.snapshot?.issuedAt)],
      ['pods', others && this.#text.count('sidebar.times.others', others.pods, others)],
    ];
    const shown = rows.filter(([, value]) => value !== null);
    while (this.#times.children.length > shown.length * 2) this.#times.lastChild.remove();
    while (this.#times.children.length < shown.length * 2) this.#times.append(element(this.#times.children.length % 2 ? 'dd' : 'dt'));
    shown.forEach(([name, value], row) => {
      setText(this.#times.children[row * 2], this.#text.say(`sidebar.times.${name}`));
      setText(this.#times.children[row * 2 + 1], value ?? '');
    });
  }
}
