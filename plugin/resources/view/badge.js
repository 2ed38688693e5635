// What tells of the tab while another one is open.

import { element, setText } from '../dom.js';
import { News } from '../news.js';
import { sentence } from '../sentence.js';
import { Times } from '../times.js';

/** The tab's buttons: of Node-RED 5, and of 4 where it is wide and where it is an icon. */
const BUTTONS = ['button[data-tab-id="secret-manager"]', '#red-ui-tab-secret-manager', '#red-ui-tab-secret-manager-link-button'].join();
/** Behind it are the tabs of Node-RED 4 that have no place beside each other. */
const MORE = '#red-ui-sidebar .red-ui-tab-link-button-menu';
const NOTIFIED_MS = 8_000;

/**
 * A dot on the tab's button, a word for who listens, and where no button is to be seen, a notification that goes by itself. None
 * takes the focus.
 */
export class Badge {
  #RED;
  #text;
  #news = new News();
  #voice;
  /** Whether the tab is open; null until the browser said so. @type {boolean | null} */
  #open = null;
  /** @type {import('../store.js').Facts | null} */
  #facts = null;
  #told = '';

  /**
   * @param {any} RED
   * @param {import('../text.js').Text} text
   * @param {HTMLElement} tab
   */
  constructor(RED, text, tab) {
    this.#RED = RED;
    this.#text = text;
    // What is in a tab that is not open is not read aloud.
    this.#voice = element('div', { role: 'status', class: 'secret-manager-unseen' });
    document.body.append(this.#voice);
    new IntersectionObserver((entries) => {
      this.#open = entries.at(-1)?.isIntersecting ?? false;
      this.#look();
    }).observe(tab);
  }

  /** @param {import('../store.js').Facts} facts */
  update(facts) {
    this.#facts = facts;
    this.#look();
  }

  #look() {
    if (this.#facts === null || this.#open === null) return;
    const shown = { marks: this.#facts.marks, said: sentence(this.#facts, this.#text, new Times(this.#text)) };
    if (this.#open) this.#news.see(shown);
    this.#show(this.#open ? null : this.#news.since(shown, this.#text));
  }

  /** @param {import('../news.js').Told | null} news */
  #show(news) {
    const name = this.#text.say('sidebar.name');
    const told = news === null ? '' : this.#text.say('sidebar.news', { name, news: news.text });
    const mark = (/** @type {Element} */ button, /** @type {boolean} */ on) => {
      button.classList.toggle('secret-manager-news', on);
      button.classList.toggle('secret-manager-news-bad', on && (news?.bad ?? false));
      return isSeen(button);
    };
    const own = [...document.querySelectorAll(BUTTONS)];
    for (const button of own) if (button.matches('button, a')) button.setAttribute('aria-label', told === '' ? name : told);
    const ownSeen = own.filter((button) => mark(button, news !== null)).length > 0;
    const moreSeen = [...document.querySelectorAll(MORE)].filter((button) => mark(button, news !== null && !ownSeen)).length > 0;
    if (told === this.#told) return;
    this.#told = told;
    setText(this.#voice, told);
    if (news === null || ownSeen || moreSeen) return;
    this.#RED.notify(element('p', {}, told), { type: news.bad ? 'warning' : 'compact', timeout: NOTIFIED_MS });
  }
}

/** @param {Element} button */
function isSeen(button) {
  return button.getClientRects().length > 0;
}
