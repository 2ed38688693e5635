// Sync on Save and Auto Sync.

import { element, icon } from '../dom.js';
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
      type: 'checkbox', role: 'switch', id: 'secret-manager-sync-on-save', 'aria-describedby': 'secret-manager-sync-on-save-note',
      onchange: () => commands.choose({ syncOnSave: this.#save.checked }),
    });
    this.#saveNote = element('p', { id: 'secret-manager-sync-on-save-note', class: 'secret-manager-note' });
    this.#auto = element('select', {
      id: 'secret-manager-auto-sync', 'aria-describedby': 'secret-manager-auto-sync-note', onchange: () => this.#chosen(),
    }, ...INTERVALS.map((value) => element('option', { value }, text.say(`sidebar.auto.${value}`))));
    this.#autoNote = element('p', { id: 'secret-manager-auto-sync-note', class: 'secret-manager-note' });
    this.#question = new Question(text, 'secret-manager-ask');
    this.root = element('div', { class: 'secret-manager-settings' },
      element('div', { class: 'secret-manager-setting' },
        element('label', { for: 'secret-manager-sync-on-save' }, text.say('sidebar.settings.syncOnSave')), this.#save),
      this.#saveNote,
      element('div', { class: 'secret-manager-setting' },
        element('label', { for: 'secret-manager-auto-sync' }, text.say('sidebar.settings.autoSync')), this.#auto),
      this.#autoNote, this.#question.root);
  }

  /** @param {import('../store.js').Facts} facts */
  update({ state, mayWrite, saving }) {
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
      const why = owner !== null ? this.#text.say('sidebar.settings.locked', { owner })
        : status === null || away ? this.#text.say('sidebar.settings.unknown')
          : setting === null ? this.#text.explain('NoSync') : '';
      note.hidden = why === '';
      if (note.textContent !== why) note.replaceChildren(...(why === '' ? [] : [icon(owner === null ? 'clock-o' : 'lock'), why]));
    }
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
