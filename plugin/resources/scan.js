// Which keys a node refers to, by what stands in its properties.

/** Titles and texts for people may name a key without using it. */
const NOT_USES = new Set(['id', 'type', 'z', 'g', 'name', 'label', 'info', 'category', 'color', 'icon', 'wires', 'links', 'outputLabels', 'inputLabels']);

/** `SECRETS["a.b"]`, also escaped within a string; `SECRETS.a-b`; and `get("SECRETS").a`, where the call ends first. */
const REFERENCE = /(?<![\w$])SECRETS(\\?["'`]\s*\)\s*)?(?:\s*(?:\?\.)?\[\s*\\?(["'`])([-.\w$]+)\\?\2\s*\]|\s*\??\.\s*([\w$][\w$-]*))/g;

/** Ends a reference in JavaScript: there `a-b` is a difference. */
const IN_CODE = /^(?:func|initialize|finalize)$/;

/**
 * The keys that a text refers to.
 * @param {string} text
 * @param {{code?: boolean}} [what] `code`: JavaScript, in which a name with a dash stands in quotes
 * @returns {Set<string>}
 */
export function keysIn(text, { code = false } = {}) {
  /** @type {Set<string>} */
  const keys = new Set();
  if (!text.includes('SECRETS')) return keys;
  const looked = code ? withoutComments(text) : text;
  for (const match of looked.matchAll(REFERENCE)) {
    const [, called, , bracketed, dotted] = match;
    if (bracketed !== undefined) keys.add(bracketed);
    else keys.add(called !== undefined || (code && !isQuoted(looked, match.index)) ? identifier(dotted) : dotted.replace(/-+$/, ''));
  }
  keys.delete('');
  return keys;
}

/**
 * The keys that a node refers to, however deep its properties are.
 * @param {Record<string, unknown>} properties
 * @returns {Set<string>}
 */
export function keysOf(properties) {
  /** @type {Set<string>} */
  const keys = new Set();
  /** @type {[string, unknown][]} */
  const open = Object.entries(properties).filter(([name]) => !NOT_USES.has(name) && !name.startsWith('_'));
  const seen = new Set();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [name, value] = next;
    if (typeof value === 'string') {
      for (const key of keysIn(value, { code: IN_CODE.test(name) })) keys.add(key);
    } else if (isPlain(value) && !seen.has(value)) {
      seen.add(value);
      open.push(...Object.entries(value));
    }
  }
  return keys;
}

/** @param {unknown} value @returns {value is object} */
function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));
}

/** @param {string} dotted */
function identifier(dotted) {
  return /^[A-Za-z_$][\w$]*/.exec(dotted)?.[0] ?? '';
}

/**
 * Whether a reference in JavaScript stands in a string, as in `global.get("SECRETS.my-token")`.
 * @param {string} code
 * @param {number} at
 */
function isQuoted(code, at) {
  return /["'`](?:#:\([^)]*\)::)?$/.test(code.slice(Math.max(0, at - 80), at));
}

/** Strings are stepped over, so that `"https://…"` is no comment. @param {string} code */
function withoutComments(code) {
  return code.replace(/("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\/[^\n]*|\/\*[^]*?\*\//g, (_all, string) => string ?? ' ');
}
