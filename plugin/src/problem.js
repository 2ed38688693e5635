'use strict';

/**
 * Why a snapshot could not be loaded, in the words of the contract on the pod. They are the reasons of the pod's
 * condition, so none is made up here.
 * @typedef {'SnapshotMissing' | 'SnapshotUnreadable' | 'SnapshotMalformed' | 'SnapshotIncomplete'
 *   | 'ProtectionUnavailable' | 'RuntimeError'} ProblemWord
 */

/**
 * What a person is told beside the word: the name of a text in `locales/`, and what stands in it. File and key names only.
 * @typedef {{what: 'restless' | 'no-meta' | 'not-json' | 'not-utf8' | 'field' | 'keys-missing' | 'keys-unnamed' | 'unreadable',
 *   file?: string, names?: string, code?: string}} Detail
 */

/** What is wrong with the files of a mount. Never quotes a value. */
class Problem extends Error {
  /**
   * @param {ProblemWord} word
   * @param {Detail} detail
   * @param {string | null} [revision] of the damaged files, where it could be read
   */
  constructor(word, detail, revision = null) {
    super(word);
    this.name = 'Problem';
    this.word = word;
    this.detail = detail;
    this.revision = revision;
  }
}

module.exports = { Problem };
