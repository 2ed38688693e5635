'use strict';

// Looks for values in whatever was captured, in every form that the promise names. It shares no code with the redaction, so that neither
// covers for the other; and it is content with a piece: eight characters of a value in a row are a finding.

/** @typedef {{key: string, form: string, where: string}} Finding */

/** How many characters of each form are a finding: eight of the value, and no coincidence in megabytes of other text. */
const PIECE = /** @type {Record<string, number>} */ ({ raw: 8, json: 16, base64: 12, base64url: 12, hex: 24, percent: 64 });

/** How each form is written. @type {Record<string, (text: string) => string[]>} */
const FORMS = {
  raw: (text) => [text],
  json: (text) => [JSON.stringify(text).slice(1, -1)],
  base64: (text) => ['', '.', '..'].map((before) => own(before, text, 'base64')),
  base64url: (text) => ['', '.', '..'].map((before) => own(before, text, 'base64url')),
  hex: (text) => [Buffer.from(text).toString('hex'), Buffer.from(text).toString('hex').toUpperCase()],
  percent: (text) => [encodeURIComponent(text)],
};

/** What of the encoded text comes from the value alone. @param {string} before @param {string} text @param {BufferEncoding} encoding */
function own(before, text, encoding) {
  const all = Buffer.from(before + text);
  return all.toString(encoding).slice(before.length === 0 ? 0 : before.length + 1, Math.floor((all.length * 8) / 6));
}

class Scanner {
  /** @type {Map<number, Map<string, {key: string, form: string}>>} pieces by their length */
  #pieces = new Map();

  /** @param {Record<string, string>} values texts by the name of their key; none of them may stand in anything that is not secret */
  constructor(values) {
    for (const [key, value] of Object.entries(values)) {
      for (const [form, write] of Object.entries(FORMS)) for (const text of write(value)) this.#add(key, form, text);
    }
  }

  /** @param {string} key @param {string} form @param {string} text */
  #add(key, form, text) {
    const length = Math.min(PIECE[form], text.length);
    const pieces = this.#pieces.get(length) ?? new Map();
    this.#pieces.set(length, pieces);
    for (let at = 0; at + length <= text.length; at += 1) {
      const piece = text.slice(at, at + length);
      if (!pieces.has(piece)) pieces.set(piece, { key, form });
    }
  }

  /**
   * @param {string} where
   * @param {string | Buffer} captured
   * @returns {Finding[]} one for each key and form
   */
  scan(where, captured) {
    const text = captured.toString();
    const found = new Map();
    for (const [length, pieces] of this.#pieces) {
      for (let at = 0; at + length <= text.length; at += 1) {
        const hit = pieces.get(text.slice(at, at + length));
        if (hit !== undefined) found.set(`${hit.key} ${hit.form}`, { ...hit, where });
      }
    }
    return [...found.values()];
  }
}

module.exports = { FORMS, Scanner };
