// What people read: the catalog of the plugin, in the language of the editor.

const CATALOG = '@spacesync/node-red-secret-manager/secret-manager';

/** @typedef {Record<string, string | number>} Args */

/** Says things. */
export class Text {
  #translate;

  /**
   * @param {(name: string, args?: Args) => string} translate `RED._`
   * @param {string} language of the editor
   */
  constructor(translate, language) {
    this.#translate = translate;
    this.language = language;
  }

  /**
   * @param {string} name in the catalog
   * @param {Args} [args]
   */
  say(name, args) {
    return this.#translate(`${CATALOG}:${name}`, args);
  }

  /**
   * @param {string} name of a pair `one` and `other`
   * @param {number} count
   * @param {Args} [args]
   */
  count(name, count, args = {}) {
    return this.say(`${name}.${count === 1 ? 'one' : 'other'}`, { count, ...args });
  }

  /**
   * What a word of the operator or the runtime means. One of a later version is said in its own words, or is at least no riddle.
   * @param {string} word such as `SourceSealed`, or `Status502` where the answer had no word
   * @param {string | null} [message] of who said it, in English
   */
  explain(word, message = null) {
    for (const group of ['reason', 'sidebar.problem']) {
      const name = `${group}.${word}`;
      const text = this.say(name);
      // i18next gives back what it does not know.
      if (text !== name && text !== `${CATALOG}:${name}`) return text;
    }
    if (message) return message;
    const status = /^Status(\d{3})$/.exec(word)?.[1];
    return status === undefined ? this.say('sidebar.problem-unknown', { word }) : this.say('sidebar.problem-status', { status });
  }
}
