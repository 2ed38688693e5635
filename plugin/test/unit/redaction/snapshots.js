'use strict';

/**
 * What the redactor reads of a snapshot, from plain values.
 * @param {Record<string, unknown>} values
 */
function snapshotOf(values) {
  return {
    keys: Object.keys(values).map((name) => ({ name, format: typeof values[name] === 'string' ? 'text' : 'json' })),
    value: (name) => structuredClone(values[name]),
  };
}

/** Random texts that are the same in every run. @param {number} seed */
function dice(seed) {
  let state = seed >>> 0;
  const next = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (most) => Math.floor(next() * most);
  return {
    below,
    pick: (list) => list[below(list.length)],
    text: (alphabet, length) => Array.from({ length }, () => alphabet[below(alphabet.length)]).join(''),
  };
}

module.exports = { snapshotOf, dice };
