'use strict';

// Reads the escapes of a text, once: those of JSON and util.inspect (`\n`, `\u00e4`, `\'`), of HTML as mustache writes it (`&#x2F;`), and
// of URLs (`%C3%A4`). What is escaped twice, such as JSON inside JSON, needs to be read twice.

const ESCAPE = new RegExp([
  /\\(?:u\{[0-9a-f]{1,6}\}|u[0-9a-f]{4}|x[0-9a-f]{2}|[^])/,
  /&(?:#x[0-9a-f]{1,6}|#[0-9]{1,7}|amp|lt|gt|quot|apos);/,
  // One character in UTF-8.
  /%[0-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-7](?:%[89ab][0-9a-f]){3}/,
].map(({ source }) => source).join('|'), 'gi');

const CONTROLS = /** @type {Record<string, string>} */ ({ n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v' });
const ENTITIES = /** @type {Record<string, string>} */ ({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" });

/** What a text says, and where in the text it says it. */
class Reading {
  /** Each escape: where it stands in what was read, how long what it says is, where it stood, and how long it was. @type {number[][]} */
  #escapes = [];
  text = '';

  /** @param {string} written */
  constructor(written) {
    let last = 0;
    for (const match of written.matchAll(ESCAPE)) {
      const said = say(match[0]);
      this.text += written.slice(last, match.index);
      this.#escapes.push([this.text.length, said.length, match.index, match[0].length]);
      this.text += said;
      last = match.index + match[0].length;
    }
    this.text += written.slice(last);
  }

  /**
   * The part of what was written that says a part of what was read: whole escapes.
   * @param {number} start
   * @param {number} end
   * @returns {[number, number]}
   */
  written(start, end) {
    return [this.#at(start, false), this.#at(end - 1, true)];
  }

  /** @param {number} at @param {boolean} behind it, or before it @returns {number} */
  #at(at, behind) {
    let low = 0;
    let high = this.#escapes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#escapes[middle][0] <= at) low = middle + 1;
      else high = middle;
    }
    const [read, said, stood, long] = this.#escapes[low - 1] ?? [0, 0, 0, 0];
    if (at < read + said) return behind ? stood + long : stood;
    return at - (read + said) + stood + long + (behind ? 1 : 0);
  }
}

/** @param {string} escape */
function say(escape) {
  const kind = escape[0];
  if (kind === '%') {
    try {
      return decodeURIComponent(escape);
    } catch {
      return escape; // no character: half a surrogate pair, or one that is written too long
    }
  }
  if (kind === '&') {
    const name = escape.slice(1, -1);
    if (name[0] !== '#') return ENTITIES[name.toLowerCase()];
    return character(/^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10), escape);
  }
  const code = /^\\(?:u\{?|x)([0-9a-f]{2,6})/i.exec(escape);
  return code ? character(parseInt(code[1], 16), escape) : CONTROLS[escape[1]] ?? escape.slice(1);
}

/** @param {number} code @param {string} escape where there is no such character */
function character(code, escape) {
  return code <= 0x10ffff ? String.fromCodePoint(code) : escape;
}

/**
 * @param {string} text
 * @returns {Reading | null} null where there is nothing to read
 */
function readEscapes(text) {
  if (!/[\\&%]/.test(text)) return null; // most texts
  const reading = new Reading(text);
  return reading.text === text ? null : reading;
}

/** Deeper than anything nests. A bound, since what was read may hold escapes again and again. */
const DEPTH = 8;

/**
 * Once, twice, and so on until there is nothing left to read.
 * @param {string} text
 * @returns {Reading[]}
 */
function readings(text) {
  const all = [];
  for (let reading = readEscapes(text); reading !== null && all.length < DEPTH; reading = readEscapes(reading.text)) all.push(reading);
  return all;
}

module.exports = { readings };
