'use strict';

// How one text looks after the usual ways of writing it as other characters. Escapes are not among them: those are read, see reading.js.

const { SHORTEST } = require('./leaves');
const { readings } = require('./reading');

/**
 * @param {import('./leaves').Leaf} leaf
 * @returns {string[]} the text itself first; each form once
 */
function formsOf({ text, whole }) {
  const forms = [text];
  // Where a text is read as often as it can be, escapes that are part of the value are read as well.
  const read = readings(text).at(-1)?.text;
  if (read !== undefined && read.length >= SHORTEST) forms.push(read);
  if (text.includes(' ')) forms.push(text.replaceAll(' ', '+')); // a form's body
  // A line on its own is hardly ever put into bytes; the text that it stands in is, and that has its own forms.
  if (whole) {
    const bytes = Buffer.from(text);
    forms.push(...base64(bytes), ...hex(bytes));
    // A JSON document in base64 holds the escaped text.
    const escaped = JSON.stringify(text).slice(1, -1);
    if (escaped !== text) forms.push(...base64(Buffer.from(escaped)));
  }
  // Not by a Set: it would hash every character of them.
  return forms.filter((form, i) => forms.indexOf(form) === i);
}

/**
 * Base64, plain and URL-safe, at each of the three places where a text may stand inside a larger one. Only the characters that the text
 * alone decides: the one at either end shares its bits with the neighbour, and at most 4 of them are ours.
 * @param {Buffer} bytes
 */
function* base64(bytes) {
  for (const before of [0, 1, 2]) {
    const shifted = before === 0 ? bytes : Buffer.concat([Buffer.alloc(before), bytes]);
    const form = shifted.toString('base64').slice(Math.ceil((before * 8) / 6), Math.floor((shifted.length * 8) / 6));
    yield form;
    if (/[+/]/.test(form)) yield form.replaceAll('+', '-').replaceAll('/', '_');
  }
}

/** In small and capital letters, and as util.inspect shows bytes: `<Buffer 73 65 63>`. @param {Buffer} bytes */
function hex(bytes) {
  const digits = bytes.toString('hex');
  const spaced = Buffer.alloc(bytes.length * 3 - 1, ' ');
  for (let i = 0; i < bytes.length; i += 1) {
    spaced[i * 3] = digits.charCodeAt(i * 2);
    spaced[i * 3 + 1] = digits.charCodeAt(i * 2 + 1);
  }
  return [digits, digits.toUpperCase(), spaced.toString('latin1')];
}

module.exports = { formsOf };
