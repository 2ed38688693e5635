// What there is to see in the tab by somebody who has another one open.

import { changesSaid } from './changes.js';

/** @typedef {import('./changes.js').Marks} Marks */
/** @typedef {{marks: Marks, said: import('./sentence.js').Sentence}} Shown what the tab shows */
/** @typedef {{text: string, bad: boolean}} Told */

const FAILS = new Set(['attention', 'bad']);

/** Remembers what was seen, and tells what has come since. */
export class News {
  /** @type {Marks} */
  #marks = new Map();
  #failed = false;

  /** The tab is open: all of it is seen. @param {Shown} shown */
  see({ marks, said }) {
    this.#marks = marks;
    this.#failed = FAILS.has(said.tone);
  }

  /**
   * @param {Shown} shown
   * @param {import('./text.js').Text} text
   * @returns {Told | null}
   */
  since({ marks, said }, text) {
    const failed = FAILS.has(said.tone);
    const news = [];
    if (failed && !this.#failed) news.push(said.text);
    if (marks !== this.#marks && marks.size > 0) news.push(changesSaid(marks, text));
    // What is well again may fail again, and is news then.
    if (!failed) this.#failed = false;
    return news.length === 0 ? null : { text: news.join('. '), bad: failed && !this.#failed };
  }
}
