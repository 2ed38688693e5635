'use strict';

// Finds values in a text and puts the names of their keys there. Pure: built once from snapshots, then only read.
//
// Every form of every value is a pattern of at least 8 characters, looked for in the text as it is written and as it reads. A filter of
// bits, asked with a rolling hash of the last 8 characters, says "nothing begins here" for almost every place of almost every text. Where
// it does not, the first 8 characters lead to the few patterns that begin so, which are sorted: a binary search finds the longest one.

const { formsOf } = require('./forms');
const { leavesOf, SHORTEST } = require('./leaves');
const { readings } = require('./reading');

/**
 * What the redactor reads of a snapshot.
 * @typedef {object} SecretSource
 * @property {readonly {name: string}[]} keys
 * @property {(name: string) => unknown} value
 */

/**
 * @typedef {object} Pattern
 * @property {string} text
 * @property {string} label what is written in its place
 * @property {Pattern | null} shorter the longest other pattern that this one begins with
 */

/** @typedef {{start: number, end: number, label: string}} Found a part of a text, and what is written in its place */

const MULTIPLIER = 0x9e3779b1; // Fibonacci hashing: spreads the hash over its upper bits
// What follows a text that was cut: the debug sidebar's and the status's "...", util.inspect's with the quote before it; and what is left of
// an escape that was cut through.
const CUT = /(?:[\\&%][\w#%{]*)?['"`]?(?: ?\.\.\.|…)/y;

/** @param {string} key */
function labelOf(key) {
  return `‹SECRETS.${key}›`;
}

class Redactor {
  /** @type {Map<string, Pattern[]>} by their first 8 characters, each list sorted */
  #groups = new Map();
  /** @type {Uint32Array} */
  #filter;
  #shift = 0;
  /** How many patterns it knows. */
  size = 0;
  /** Of the longest pattern. */
  longest = 0;

  /** @param {readonly SecretSource[]} snapshots where two hold the same text, the first names it */
  constructor(snapshots) {
    const labels = new Set();
    for (const leaf of leavesOf(snapshots)) {
      const label = labelOf(leaf.key);
      labels.add(label);
      for (const form of formsOf(leaf)) this.#add(form, label);
    }
    // A label stands for itself, so that what is redacted already stays as it is, whatever the key is called.
    for (const label of labels) this.#add(label, label);
    for (const group of this.#groups.values()) if (group.length > 1) sort(group);

    // 32 bits a group: at most one place in 32 is looked at in vain.
    const bits = Math.max(10, Math.ceil(Math.log2((this.#groups.size + 1) * 32)));
    this.#shift = 32 - bits;
    this.#filter = new Uint32Array(2 ** (bits - 5));
    for (const anchor of this.#groups.keys()) {
      let hash = 0;
      for (let i = 0; i < SHORTEST; i += 1) hash = (hash << 4) ^ anchor.charCodeAt(i);
      const bit = Math.imul(hash, MULTIPLIER) >>> this.#shift;
      this.#filter[bit >>> 5] |= 1 << (bit & 31);
    }
  }

  /** @param {string} text @param {string} label */
  #add(text, label) {
    const anchor = text.slice(0, SHORTEST);
    const group = this.#groups.get(anchor);
    const pattern = { text, label, shorter: null };
    if (group) group.push(pattern);
    else this.#groups.set(anchor, [pattern]);
    this.size += 1;
    this.longest = Math.max(this.longest, text.length);
  }

  /**
   * The text with every value replaced. Of values that begin at one place the longest is taken; where values overlap, all of them are
   * named and nothing of any is left. Nothing found: the very same string.
   * @param {string} text
   * @param {number} [enough] the reader cuts after so many characters: of more, only the beginning is looked at and returned
   * @returns {string}
   */
  redact(text, enough = Infinity) {
    if (this.size === 0 || text.length < SHORTEST) return text;
    // Twice the longest pattern, so that what begins before the reader's cut is seen whole; behind that it is a text like any that was cut.
    const most = enough + 2 * this.longest;
    const head = text.length > most ? `${text.slice(0, most)}…` : text;
    const found = this.#find(head);
    const read = readings(head);
    read.forEach((reading, depth) => {
      for (let { start, end, label } of this.#find(reading.text)) {
        for (let i = depth; i >= 0; i -= 1) [start, end] = read[i].written(start, end);
        found.push({ start, end, label });
      }
    });
    if (found.length === 0) return text;
    if (read.length > 0) found.sort((a, b) => a.start - b.start || b.end - a.end);
    let out = '';
    let copied = 0; // all before it stands in `out`
    for (const { start, end, label } of found) {
      if (end <= copied) continue;
      if (start > copied) out += head.slice(copied, start);
      out += label;
      copied = end;
    }
    return out + head.slice(copied);
  }

  /**
   * @param {string} text
   * @returns {Found[]} by their start; one inside another is left out
   */
  #find(text) {
    const filter = this.#filter;
    const shift = this.#shift;
    /** @type {Found[]} */
    const found = [];
    let covered = 0;
    let hash = 0;
    for (let last = 0; last < text.length; last += 1) {
      // 32 bits, 4 a character: the ninth last falls out by itself.
      hash = (hash << 4) ^ text.charCodeAt(last);
      const bit = Math.imul(hash, MULTIPLIER) >>> shift;
      if ((filter[bit >>> 5] & (1 << (bit & 31))) === 0) continue;
      const start = last - SHORTEST + 1;
      const longest = start < 0 ? null : this.#longestAt(text, start);
      if (longest === null || longest.end <= covered) continue;
      covered = longest.end;
      found.push({ start, ...longest });
    }
    return found;
  }

  /**
   * @param {string} text
   * @param {number} at
   * @returns {{end: number, label: string} | null}
   */
  #longestAt(text, at) {
    const group = this.#groups.get(text.slice(at, at + SHORTEST));
    if (group === undefined) return null;
    // The first pattern that is greater than the text from here on; the one before it is the longest that stands here, or begins with it.
    let low = 0;
    let high = group.length;
    let common = 0;
    let closest = group[0];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const pattern = group[middle];
      const length = commonLength(pattern.text, text, at);
      if (length > common) {
        common = length;
        closest = pattern;
      }
      if (length === pattern.text.length || pattern.text.charCodeAt(length) < text.charCodeAt(at + length)) low = middle + 1;
      else high = middle;
    }
    for (let pattern = low > 0 ? group[low - 1] : null; pattern !== null; pattern = pattern.shorter) {
      if (text.startsWith(pattern.text, at)) {
        const end = at + pattern.text.length;
        // A value that contains another, cut behind it.
        return common > pattern.text.length && isCut(text, at + common) ? { end: at + common, label: closest.label } : { end, label: pattern.label };
      }
    }
    return isCut(text, at + common) ? { end: at + common, label: closest.label } : null;
  }
}

/** @param {string} text @param {number} at */
function isCut(text, at) {
  CUT.lastIndex = at;
  return CUT.test(text);
}

/** How many characters of `pattern` stand in `text` at `at`. @param {string} pattern @param {string} text @param {number} at */
function commonLength(pattern, text, at) {
  const most = Math.min(pattern.length, text.length - at);
  let length = 0;
  while (length < most && pattern.charCodeAt(length) === text.charCodeAt(at + length)) length += 1;
  return length;
}

/** By code units, and each knows the longest that it begins with. @param {Pattern[]} group */
function sort(group) {
  group.sort((a, b) => (a.text < b.text ? -1 : 1));
  for (let i = 1; i < group.length; i += 1) {
    /** @type {Pattern | null} */
    let shorter = group[i - 1];
    while (shorter !== null && !group[i].text.startsWith(shorter.text)) shorter = shorter.shorter;
    group[i].shorter = shorter;
  }
}

module.exports = { Redactor, labelOf };
