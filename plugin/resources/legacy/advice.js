// Advises to delete the legacy nodes, where nobody needs them any more.

import { advise } from './decision.js';
import { find, remove, show } from './nodes.js';
import { Prompt, settingIn } from './prompt.js';
import { Reminder } from './reminder.js';
import { difference } from './take-over.js';

/** So long after the last of many nodes was added or removed. */
const SOON_MS = 100;
const TOUCHES = ['flows:loaded', 'nodes:add', 'nodes:remove', 'flows:change', 'subflows:change', 'editor:open', 'editor:close', 'login'];

export class Advice {
  #RED;
  #text;
  #store;
  #commands;
  #reminder;
  #prompt;
  /** Somebody asked for it: then it comes however long it was put off. */
  #asked = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {any} RED
   * @param {import('../text.js').Text} text
   * @param {import('../store.js').Store} store
   * @param {import('../commands.js').Commands} commands
   */
  constructor(RED, text, store, commands) {
    this.#RED = RED;
    this.#text = text;
    this.#store = store;
    this.#commands = commands;
    this.#reminder = new Reminder(RED);
    this.#prompt = new Prompt(RED, text, {
      later: () => this.#later(),
      show: () => show(RED, this.#type, this.#found()),
      remove: () => this.#remove(),
      takeOver: (wanted) => this.#takeOver(wanted),
    });
  }

  start() {
    for (const touch of TOUCHES) this.#RED.events.on(touch, this.#soon);
    this.#store.view(this.#soon);
  }

  /** Whoever may not delete them is shown where they are. */
  ask() {
    const found = this.#found();
    if (found.length === 0) {
      this.#RED.notify(this.#text.say('sidebar.legacy.none'));
    } else if (!this.#mayEdit || this.#store.facts.state.legacy.needed) {
      show(this.#RED, this.#type, found);
    } else {
      this.#asked = true;
      this.#look();
      this.#prompt.focus();
    }
  }

  #soon = () => {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), SOON_MS);
  };

  #look() {
    const { state, mayWrite } = this.#store.facts;
    const found = this.#found();
    const later = this.#asked ? null : this.#reminder.later;
    const facts = { legacy: state?.legacy ?? null, found: found.length, mayEdit: this.#mayEdit, later, now: Date.now() };
    // A node that is being edited cannot be deleted, nor can the flow be looked at.
    const editing = this.#RED.editor.getEditStack().length > 0;
    if (editing || !advise(facts)) return this.#prompt.close();
    const status = mayWrite && state.operator?.reachable === true ? state.operator.status : null;
    this.#prompt.update(found, difference(found.map(({ says }) => says), status));
  }

  #later() {
    this.#asked = false;
    this.#reminder.putOff(this.#found().length);
    this.#prompt.close();
  }

  #remove() {
    const count = remove(this.#RED, this.#found());
    if (this.#found().length === 0) this.#asked = false;
    this.#look();
    this.#RED.notify(this.#text.count('sidebar.legacy.deleted', count), { type: 'success', timeout: 10_000 });
  }

  /** One setting after the other: who owns the one does not keep the other from being set. @param {{autoSync?: string, syncOnSave?: boolean}} wanted */
  async #takeOver(wanted) {
    const said = [];
    for (const [name, value] of Object.entries(wanted)) {
      const { outcome: { outcome, reason, message, owner } } = await this.#commands.choose({ [name]: value });
      const setting = settingIn(this.#text, name, value);
      const why = owner ? this.#text.say('sidebar.settings.locked', { owner }) : this.#text.explain(reason ?? '', message);
      said.push(outcome === 'saved' ? this.#text.say('sidebar.legacy.taken', { setting }) : this.#text.say('sidebar.legacy.not-taken', { setting, why }));
    }
    this.#prompt.tell(said.join(' '));
  }

  #found() {
    return this.#type === null ? [] : find(this.#RED, this.#type);
  }

  /** Null before the runtime said it. @returns {any} */
  get #type() {
    return this.#store.facts.state?.legacy?.type ?? null;
  }

  get #mayEdit() {
    return this.#RED.user.hasPermission('flows.write');
  }
}
