'use strict';

/**
 * Finds values in what was written or shown: raw, JSON-escaped, percent-encoded, hex, and base64 wherever in the encoded
 * text they begin.
 * @param {Map<string, string | Buffer> | Record<string, string | Buffer>} places by their names
 * @param {Record<string, string>} values by key
 * @returns {string[]} `place: form of key`
 */
function traces(places, values) {
  const entries = places instanceof Map ? [...places] : Object.entries(places);
  return entries.flatMap(([place, content]) => Object.entries(values).flatMap(([key, value]) =>
    forms(value).filter(([, form]) => Buffer.from(content).includes(form)).map(([name]) => `${place}: ${name} of ${key}`)));
}

/**
 * @param {string} value
 * @returns {[string, string][]}
 */
function forms(value) {
  const hex = Buffer.from(value).toString('hex');
  return [
    ['text', value],
    ['JSON', JSON.stringify(value).slice(1, -1)],
    ['JSON in JSON', JSON.stringify(JSON.stringify(value)).slice(3, -3)],
    ['percent-encoding', encodeURIComponent(value)],
    ['hex', hex],
    ['HEX', hex.toUpperCase()],
    ...[0, 1, 2].map((offset) => /** @type {[string, string]} */ (['base64', base64(value, offset)])),
    ...[0, 1, 2].map((offset) => /** @type {[string, string]} */ (['base64url', base64(value, offset).replaceAll('+', '-').replaceAll('/', '_')])),
  ];
}

/**
 * The characters that say nothing of what stands before and after.
 * @param {string} value
 * @param {number} offset how many bytes of a group of three come before it
 */
function base64(value, offset) {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]);
  return bytes.toString('base64').slice(Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6));
}

module.exports = { traces };
