'use strict';

// Which texts of a snapshot nobody but a flow may see: the string leaves, and what people cut them into.

/** Shorter texts stand in ordinary words too often; to replace them would make every log unreadable. */
const SHORTEST = 8;

// The armour of a PEM names a kind of key, it is not one: it stands in public certificates as well.
const PEM_ARMOUR = /^-----(BEGIN|END) [A-Z0-9 ]+-----$/;
// A ruler such as "----------" tells nothing.
const TELLS_SOMETHING = /[\p{L}\p{N}]/u;

/**
 * @typedef {object} Leaf
 * @property {string} key the key whose value it is, or stands in
 * @property {string} text
 * @property {boolean} whole false: one line of a longer text
 */

/**
 * @param {readonly import('./redactor').SecretSource[]} snapshots where two keys hold the same text, the first is named
 * @returns {Leaf[]}
 */
function leavesOf(snapshots) {
  const seen = new Set();
  /** @type {Leaf[]} */
  const leaves = [];
  /** @param {string} key @param {string} text @param {boolean} whole */
  const add = (key, text, whole) => {
    if (text.length < SHORTEST || seen.has(text)) return;
    seen.add(text);
    leaves.push({ key, text, whole });
  };
  for (const snapshot of snapshots) {
    for (const { name } of snapshot.keys) {
      for (const text of stringsIn(snapshot.value(name))) {
        add(name, text, true);
        // Files tend to end in a newline, and flows tend to cut it off.
        add(name, text.trim(), true);
        for (const line of linesOf(text)) add(name, line, false);
      }
    }
  }
  return leaves;
}

/**
 * Every string inside a value; names of properties are not values. Without recursion: a value may nest as deep as it likes.
 * @param {unknown} value
 * @returns {string[]}
 */
function stringsIn(value) {
  const strings = [];
  const open = [value];
  while (open.length > 0) {
    let next = open.pop();
    if (typeof next === 'string') {
      strings.push(next);
      next = documentIn(next);
    }
    if (next !== null && typeof next === 'object') for (const part of Object.values(next)) open.push(part);
  }
  return strings;
}

/**
 * A text may be a JSON document, such as the key file of a service account; flows parse it, and then show a part.
 * @param {string} text
 * @returns {unknown} null where it is none
 */
function documentIn(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {string} text @returns {string[]} */
function linesOf(text) {
  if (!/[\r\n]/.test(text)) return [];
  return text.split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => TELLS_SOMETHING.test(line) && !PEM_ARMOUR.test(line));
}

module.exports = { leavesOf, SHORTEST };
