// The advice to delete the legacy nodes, as the editor shows it.

import { element, icon, setText } from '../dom.js';
import { Question } from '../view/question.js';

/** @typedef {import('./nodes.js').LegacyNode} LegacyNode */
/** @typedef {import('./take-over.js').Difference} Difference */
/** @typedef {{later: () => void, show: () => void, remove: () => void, takeOver: (wanted: Difference['wanted']) => void}} Acts */

const TITLE = 'secret-manager-legacy-title';
const WHAT = 'secret-manager-legacy-what';

export class Prompt {
  #RED;
  #text;
  #acts;
  #root;
  #what;
  #locked;
  #settings;
  #were;
  #owned;
  #take;
  #question;
  #outcome;
  #later;
  #remove;
  /** The editor's notification, while there is one. @type {any} */
  #notification = null;
  /** @type {Difference} */
  #difference = { wanted: {}, here: {}, owned: {}, flowApps: 1 };

  /**
   * @param {any} RED
   * @param {import('../text.js').Text} text
   * @param {Acts} acts
   */
  constructor(RED, text, acts) {
    this.#RED = RED;
    this.#text = text;
    this.#acts = acts;
    const button = (/** @type {string} */ name, /** @type {() => void} */ onclick) =>
      element('button', { type: 'button', class: 'red-ui-button', onclick }, text.say(`sidebar.legacy.${name}`));
    this.#what = element('p', { id: WHAT, role: 'status' });
    this.#locked = element('p', {});
    this.#were = element('p', {});
    this.#owned = element('p', {});
    this.#take = button('take-over', () => this.#askOrTake());
    this.#question = new Question(text, 'secret-manager-legacy-ask');
    this.#settings = element('div', { class: 'secret-manager-legacy-settings' }, this.#were, this.#owned, this.#take, this.#question.root);
    this.#outcome = element('p', { role: 'status' });
    this.#later = button('later', acts.later);
    this.#remove = button('delete', acts.remove);
    // Not by the editor's own buttons: in Node-RED 5 they take the focus away from whoever is typing.
    this.#root = element('div', { class: 'secret-manager-legacy', role: 'group', 'aria-labelledby': TITLE, 'aria-describedby': WHAT },
      element('p', { id: TITLE, class: 'secret-manager-legacy-title' }, text.say('sidebar.legacy.title')),
      this.#what, this.#locked, this.#settings, this.#outcome,
      element('div', { class: 'secret-manager-legacy-buttons' }, this.#later, button('show', acts.show), this.#remove));
  }

  get open() { return this.#notification !== null; }

  /**
   * @param {readonly LegacyNode[]} found
   * @param {Difference} difference
   */
  update(found, difference) {
    this.#difference = difference;
    if (!this.open) this.#notification = this.#RED.notify(this.#root, { type: 'warning', fixed: true });
    const locked = found.filter((node) => node.locked);
    this.#say(this.#what, this.#text.count('sidebar.legacy.found', found.length, { flows: this.#flows(found) }));
    this.#say(this.#locked, locked.length === 0 ? ''
      : this.#text.count('sidebar.legacy.locked', locked.length, { flows: this.#flows(locked) }), 'lock');
    this.#holdFocus(() => {
      this.#remove.hidden = locked.length === found.length;
      this.#showSettings(found.length, difference);
    });
  }

  /** What came of what was asked for. @param {string} text */
  tell(text) {
    this.#say(this.#outcome, text);
  }

  focus() {
    this.#later.focus();
  }

  close() {
    if (this.#notification === null) return;
    const focused = this.#root.contains(document.activeElement);
    this.#notification.close();
    this.#notification = null;
    this.#question.close();
    this.tell('');
    // Keys are for the flow again: undo, above all.
    if (focused) this.#RED.view.focus();
  }

  /** @param {number} count @param {Difference} difference */
  #showSettings(count, { wanted, here, owned }) {
    const settings = Object.entries(wanted).map(([name, value]) => this.#text.say('sidebar.legacy.differs', {
      setting: settingIn(this.#text, name, value), value: valueIn(this.#text, /** @type {any} */ (here)[name]),
    }));
    this.#settings.hidden = settings.length === 0;
    if (settings.length === 0) return this.#question.close();
    this.#say(this.#were, this.#text.count('sidebar.legacy.were', count, { settings: settings.join(', ') }));
    this.#say(this.#owned, Object.entries(owned).map(([name, owner]) =>
      this.#text.say('sidebar.legacy.owned', { name: this.#text.say(`sidebar.settings.${name}`), owner: owner ?? '' })).join(' '), 'lock');
  }

  #askOrTake() {
    const { wanted, flowApps } = this.#difference;
    if (flowApps < 2) return this.#acts.takeOver(wanted);
    this.#question.ask(flowApps, (yes) => {
      this.#take.focus();
      if (yes) this.#acts.takeOver(wanted);
    });
  }

  /** What had the focus may be hidden by what is done. @param {() => void} act */
  #holdFocus(act) {
    const focused = this.#root.contains(document.activeElement);
    act();
    if (focused && document.activeElement?.checkVisibility() !== true) this.focus();
  }

  /** @param {HTMLElement} place @param {string} text @param {string} [picture] */
  #say(place, text, picture) {
    place.hidden = text === '';
    if (picture === undefined) setText(place, text);
    else if (place.textContent !== text) place.replaceChildren(icon(picture), text);
  }

  /** Each flow once. @param {readonly LegacyNode[]} nodes */
  #flows(nodes) {
    return [...new Set(nodes.map(({ flow }) => flow || this.#text.say('sidebar.legacy.global')))].join(', ');
  }
}

/**
 * @param {import('../text.js').Text} text
 * @param {string} name
 * @param {string | boolean} value
 */
export function settingIn(text, name, value) {
  return text.say('sidebar.legacy.setting', { name: text.say(`sidebar.settings.${name}`), value: valueIn(text, value) });
}

/**
 * @param {import('../text.js').Text} text
 * @param {string | boolean} value an interval of a later version is shown as it is called
 */
function valueIn(text, value) {
  if (typeof value === 'boolean') return text.say(`sidebar.legacy.${value ? 'on' : 'off'}`);
  const name = `sidebar.auto.${value}`;
  const said = text.say(name);
  return said.endsWith(name) ? value : said;
}
