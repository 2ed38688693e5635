import { element, setText } from '../dom.js';

/** Asks before something is done that is meant for more than this flow app. */
export class Question {
  #text;
  #id;

  /**
   * @param {import('../text.js').Text} text
   * @param {string} id of the element that holds what is asked
   */
  constructor(text, id) {
    this.#text = text;
    this.#id = id;
    this.root = element('div', { role: 'group', class: 'secret-manager-ask', hidden: true, 'aria-labelledby': id });
  }

  get open() { return !this.root.hidden; }

  /**
   * @param {number} flowApps how many are meant
   * @param {(yes: boolean) => void} answer
   */
  ask(flowApps, answer) {
    const close = (/** @type {boolean} */ yes) => {
      this.close();
      answer(yes);
    };
    const button = (/** @type {string} */ label, /** @type {boolean} */ yes) =>
      element('button', { type: 'button', class: 'red-ui-button red-ui-button-small', onclick: () => close(yes) }, label);
    const question = element('p', { id: this.#id });
    setText(question, this.#text.count('sidebar.settings.applies', flowApps));
    const apply = button(this.#text.say('sidebar.settings.apply'), true);
    this.root.replaceChildren(question, apply, button(this.#text.say('sidebar.settings.cancel'), false));
    this.root.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== 'Escape') return;
      // The editor's own keys look up from where the key was pressed, and that is gone then.
      event.stopPropagation();
      close(false);
    };
    this.root.hidden = false;
    apply.focus();
  }

  close() {
    this.root.hidden = true;
    this.root.replaceChildren();
  }
}
