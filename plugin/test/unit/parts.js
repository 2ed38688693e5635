'use strict';

const { parse } = require('../../src/snapshot');
const { delivered } = require('../kubelet-volume');

/**
 * @param {Parameters<typeof delivered>[0]} [of]
 * @param {(files: Map<string, Buffer>) => void} [edit] the files before they are read
 */
function snapshotOf(of = {}, edit = () => {}) {
  const files = new Map(Object.entries(delivered(of)).map(([name, content]) => [name, Buffer.from(content)]));
  files.delete('.spacesync/revision');
  edit(files);
  const meta = /** @type {Buffer} */ (files.get('.spacesync.json'));
  files.delete('.spacesync.json');
  return parse(meta, files);
}

/** A log that remembers its lines: level, name of the text, what stands in it. */
function linesOf() {
  /** @type {string[]} */
  const lines = [];
  const say = (/** @type {string} */ text, args = {}) => [text, ...Object.values(args)].join(' ');
  const at = (/** @type {string} */ level) => (/** @type {string} */ text, args = {}) => { lines.push(`${level} ${say(text, args)}`); };
  return { lines, log: { info: at('info'), warn: at('warn'), error: at('error'), say } };
}

module.exports = { snapshotOf, linesOf };
