// The Status section: the sentence, Sync now, what may be chosen, and the times.

import { element, icon, setText } from '../dom.js';
import { otherPods } from '../pods.js';
import { notes, sentence } from '../sentence.js';
import { Times } from '../times.js';
import { Settings } from './settings.js';
import { SyncNow } from './sync-now.js';

/** @typedef {import('../store.js').Facts} Facts */
/** @typedef {import('../text.js').Text} Text */

const ROWS = ['checked', 'updated', 'issued', 'pods'];

const ICONS = { good: 'check-circle', busy: 'refresh', idle: 'pause-circle', attention: 'exclamation-circle', bad: 'times-circle' };

export class Status {
  #text;
  #icon;
  #said;
  #joint;
  #tail;
  #detail;
  #notes;
  #reader;
  /** @type {Record<string, {root: HTMLElement, value: HTMLElement}>} */
  #rows;
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
    this.#joint = element('span', { class: 'secret-manager-tail' });
    this.#tail = element('span', { class: 'secret-manager-tail' });
    this.#detail = element('p', { class: 'secret-manager-note', lang: 'en' });
    this.#notes = element('p', { role: 'status', class: 'secret-manager-note' });
    this.#rows = Object.fromEntries(ROWS.map((name) => {
      const value = element('dd');
      return [name, { value, root: element('div', { hidden: true }, element('dt', {}, text.say(`sidebar.times.${name}`)), ' ', value) }];
    }));
    this.#reader = element('p', { class: 'secret-manager-note', hidden: true }, icon('eye'), text.say('sidebar.reader'));
    this.root = element('section', { 'aria-labelledby': 'secret-manager-status', class: 'secret-manager-section' },
      element('div', { class: 'secret-manager-head' }, element('h3', { id: 'secret-manager-status' }, text.say('sidebar.status.title')), this.#syncNow.button),
      element('p', { class: 'secret-manager-sentence' }, this.#icon, element('span', {}, this.#said, this.#joint, this.#tail)),
      this.#detail, this.#notes, this.#syncNow.said, this.#reader, this.#settings.root,
      element('dl', { class: 'secret-manager-times' }, ...ROWS.map((name) => this.#rows[name].root)));
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
    setText(this.#tail, tail);
    setText(this.#joint, tail && ' · ');
    setText(this.#detail, text.includes(detail) ? '' : detail);
    setText(this.#notes, notes(this.#facts, this.#text).join('. '));
    this.#updateTimes(times);
  }

  /** @param {Times} times */
  #updateTimes(times) {
    const state = this.#facts?.state;
    const status = state?.operator?.status;
    const others = otherPods(status);
    /** @type {[string, string | null | undefined, (() => string)?][]} */
    const rows = [
      ['checked', status?.lastChecked],
      ['updated', state?.snapshot?.updatedAt],
      ['issued', state?.snapshot?.issuedAt],
      ['pods', others && '', () => this.#text.count('sidebar.times.others', others?.pods ?? 0, others ?? {})],
    ];
    for (const [name, iso, said] of rows) {
      const row = this.#rows[name];
      row.root.hidden = iso === null || iso === undefined;
      if (row.root.hidden) continue;
      setText(row.value, said?.() ?? times.when(iso ?? ''));
      if (iso) row.root.title = times.exact(iso);
    }
  }
}
