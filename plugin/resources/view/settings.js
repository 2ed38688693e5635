// Sync on Save and Auto Sync.

import { element, icon, setText } from '../dom.js';
import { Question } from './question.js';

const INTERVALS = ['Live', '1m', '30m', '60m', '12h', '24h', 'Manual'];

export class Settings {
  #text;
  #commands;
  #save;
  #saveNote;
  #auto;
  #autoNote;
  #question;
  /** Of both. */
  #note;
  #said;
  /** What is in force. */
  #autoSync = '';
  #flowApps = 1;

  /**
   * @param {import('../text.js').Text} text
   * @param {import('../commands.js').Commands} commands
   */
  constructor(text, commands) {
    this.#text = text;
    this.#commands = commands;
    this.#save = element('input', {
      type: 'checkbox', role: 'switch', id: 'secret-manager-sync-on-save', 'aria-describedby': 'secret-manager-sync-on-save-note secret-manager-settings-note',
      onchange: () => commands.choose({ syncOnSave: this.#save.checked }),
    });
    this.#saveNote = element('p', { id: 'secret-manager-sync-on-save-note', class: 'secret-manager-note' });
    this.#auto = element('select', {
      id: 'secret-manager-auto-sync', 'aria-describedby': 'secret-manager-auto-sync-note secret-manager-settings-note', onchange: () => this.#chosen(),
    }, ...INTERVALS.map((value) => element('option', { value }, text.say(`sidebar.auto.${value}`))));
    this.#autoNote = element('p', { id: 'secret-manager-auto-sync-note', class: 'secret-manager-note' });
    this.#question = new Question(text, 'secret-manager-ask');
    this.#note = element('p', { id: 'secret-manager-settings-note', class: 'secret-manager-note' });
    this.#said = element('p', { role: 'status', class: 'secret-manager-outcome' });
    this.root = element('div', { class: 'secret-manager-settings' },
      element('div', { class: 'secret-manager-setting' },
        element('label', { for: 'secret-manager-sync-on-save' }, text.say('sidebar.settings.syncOnSave')), this.#save),
      this.#saveNote,
      element('div', { class: 'secret-manager-setting' },
        element('label', { for: 'secret-manager-auto-sync' }, text.say('sidebar.settings.autoSync')), this.#auto),
      this.#autoNote, this.#note, this.#question.root, this.#said);
  }

  /** @param {import('../store.js').Facts} facts */
  update({ state, mayWrite, saving, answer }) {
    const status = state?.operator?.status ?? null;
    const away = state?.operator?.reachable === false;
    const known = { syncOnSave: status?.syncOnSave ?? null, autoSync: status?.autoSync ?? null };
    this.#flowApps = status?.flowApps ?? 1;
    if (saving !== 'syncOnSave') this.#save.checked = known.syncOnSave?.value ?? false;
    this.#autoSync = known.autoSync?.value ?? '';
    if (saving !== 'autoSync' && !this.#question.open) this.#show(this.#autoSync);
    for (const [control, note, setting] of [[this.#save, this.#saveNote, known.syncOnSave], [this.#auto, this.#autoNote, known.autoSync]]) {
      const owner = setting?.managedBy ?? null;
      control.disabled = !mayWrite || setting === null || owner !== null || away;
      noted(note, 'lock', owner === null ? '' : this.#text.say('sidebar.settings.locked', { owner }));
    }
    noted(this.#note, 'clock-o', state !== null && (status === null || away) ? this.#text.say('sidebar.settings.unknown') : '');
    const outcome = answer?.kind === 'settings' ? answer.outcome : null;
    this.#said.classList.toggle('secret-manager-bad', outcome?.outcome === 'error');
    setText(this.#said, outcome === null ? '' : outcome.outcome === 'saved' ? this.#text.say('sidebar.settings.saved')
      : this.#text.say('sidebar.settings.error', { why: this.#text.explain(outcome.reason, outcome.message) }));
  }

  /** An interval of a later version is shown as it is called. @param {string} value */
  #show(value) {
    if (value !== '' && !INTERVALS.includes(value) && !this.#auto.querySelector(`option[value="${CSS.escape(value)}"]`)) {
      this.#auto.append(element('option', { value }, value));
    }
    this.#auto.value = value;
  }

  /** More than this flow app may be meant: then it is asked first. */
  #chosen() {
    const value = this.#auto.value;
    if (this.#flowApps < 2) {
      this.#commands.choose({ autoSync: value });
      return;
    }
    this.#question.ask(this.#flowApps, (yes) => {
      this.#auto.focus();
      if (yes) this.#commands.choose({ autoSync: value });
      else this.#show(this.#autoSync);
    });
  }
}

/** @param {HTMLElement} note @param {string} sign @param {string} why */
function noted(note, sign, why) {
  note.hidden = why === '';
  if (note.textContent !== why) note.replaceChildren(...(why === '' ? [] : [icon(sign), why]));
}
