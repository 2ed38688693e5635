'use strict';

// How one text looks after the usual ways of writing it somewhere else.

const { SHORTEST } = require('./leaves');

/** As mustache writes `{{x}}`: two braces escape for HTML. */
const HTML = /** @type {Record<string, string>} */ ({
  '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;', '/': '&#x2F;', '`': '&#x60;', '=': '&#x3D;',
});

/**
 * @param {import('./leaves').Leaf} leaf
 * @returns {string[]} the text itself first; each form once
 */
function formsOf({ text, whole }) {
  const forms = [text];
  const escaped = json(text);
  // Most tokens are letters, digits and what every form leaves alone.
  if (/[^A-Za-z0-9_.~-]/.test(text)) {
    forms.push(escaped, ...inspected(text), ...percent(text), text.replace(/[&<>"'/`=]/g, (c) => HTML[c]));
  }
  // A line on its own is hardly ever put into bytes; the text that it stands in is, and that has its own forms.
  if (whole) {
    const bytes = Buffer.from(text);
    forms.push(...base64(bytes), ...hex(bytes));
    // A JSON document in base64 holds the escaped text.
    if (escaped !== text) forms.push(...base64(Buffer.from(escaped)));
  }
  // Messages carry JSON as text, and are shown as JSON or by util.inspect.
  if (escaped !== text) forms.push(json(escaped), ...inspected(escaped));
  // Not by a Set: it would hash every character of them.
  return forms.filter((form, i) => forms.indexOf(form) === i);
}

/** @param {string} text */
function json(text) {
  return JSON.stringify(text).slice(1, -1);
}

/**
 * As `util.inspect` writes it, which is how the debug node's console output does. Which quote it escapes depends on all that stands around.
 * @param {string} text
 */
function inspected(text) {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/[\\\x00-\x1f\x7f-\x9f]/g, inspectEscape);
  return [plain, plain.replaceAll("'", "\\'")];
}

const INSPECT_SHORT = /** @type {Record<string, string>} */ ({ '\\': '\\\\', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r' });

/** @param {string} c */
function inspectEscape(c) {
  return INSPECT_SHORT[c] ?? `\\x${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Each only where it differs: this is the dearest part of building. @param {string} text */
function percent(text) {
  try {
    const component = encodeURIComponent(text);
    const forms = [component];
    if (component !== text) forms.push(component.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()));
    if (/[;/?:@&=+$,#]/.test(text)) forms.push(encodeURI(text));
    if (/[ !'()~]/.test(text)) forms.push(new URLSearchParams([['', text]]).toString().slice(1)); // a form's body: a space is a plus
    return forms;
  } catch {
    return []; // half a surrogate pair cannot be percent-encoded
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

/**
 * Base64, plain and URL-safe, at each of the three places where a text may stand inside a larger one. Only the characters that the text
 * alone decides: the one at either end shares its bits with the neighbour, and at most 4 of them are ours.
 * @param {Buffer} bytes
 */
function* base64(bytes) {
  for (const before of [0, 1, 2]) {
    const shifted = before === 0 ? bytes : Buffer.concat([Buffer.alloc(before), bytes]);
    const form = shifted.toString('base64').slice(Math.ceil((before * 8) / 6), Math.floor((shifted.length * 8) / 6));
    if (form.length < SHORTEST) continue;
    yield form;
    if (/[+/]/.test(form)) yield form.replaceAll('+', '-').replaceAll('/', '_');
  }
}

module.exports = { formsOf };
