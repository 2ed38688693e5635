'use strict';

/** What flows find in the global context. */
const NAMES = Object.freeze(['SECRETS', 'SECRETS_METADATA']);

/** What a key that does not parse must begin with to be taken for one of ours. */
const BEGINS = /^["']?SECRETS(?:_METADATA)?(?![\w$])/;

/** @typedef {(string | number)[]} Path as Node-RED parses `SECRETS.a["b"].c`, the name first */

/** Tells which keys of the global context are ours, by Node-RED's own rules for keys. */
class Names {
  /** @param {(key: string) => any} parse Node-RED's `normalisePropertyExpression` */
  constructor(parse) {
    this.parse = parse;
  }

  /**
   * @param {unknown} key
   * @returns {Path | null} null where the key is not ours, or is none at all: Node-RED then says what is wrong with it
   */
  path(key) {
    if (typeof key !== 'string' || !key.includes('SECRETS')) return null;
    try {
      const path = this.parse(key);
      return NAMES.includes(path[0]) ? path : null;
    } catch {
      return null;
    }
  }

  /**
   * Whether a write of this key is one to refuse: also where it does not parse, so that no write of ours throws.
   * @param {unknown} key
   */
  has(key) {
    return this.path(key) !== null || (typeof key === 'string' && BEGINS.test(key));
  }
}

module.exports = { NAMES, Names };
