// How flows refer to a key, to be copied.

/** @typedef {'function' | 'typed' | 'mustache' | 'jsonata'} Form */

/** @type {readonly Form[]} */
export const FORMS = Object.freeze(['function', 'typed', 'mustache', 'jsonata']);

/** What may stand after a dot: in JavaScript, and where Node-RED parses a property. A lone number would be taken for an index. */
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const PROPERTY = /^(?!\d+$)[A-Za-z0-9_$][\w$-]*$/;

/**
 * @param {string} name of the key
 * @param {Form} form
 */
export function reference(name, form) {
  switch (form) {
    case 'function': return `global.SECRETS${IDENTIFIER.test(name) ? `.${name}` : `["${name}"]`}`;
    case 'typed': return property(name, '"');
    case 'mustache': return `{{{global.${property(name, '"')}}}}`;
    case 'jsonata': return `$globalContext("${property(name, "'")}")`;
  }
}

/**
 * @param {string} name
 * @param {'"' | "'"} quote
 */
function property(name, quote) {
  return `SECRETS${PROPERTY.test(name) ? `.${name}` : `[${quote}${name}${quote}]`}`;
}
