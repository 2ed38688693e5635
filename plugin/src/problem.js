'use strict';

/**
 * Why a snapshot could not be loaded, in the words of the contract on the pod. They are the reasons of the pod's
 * condition, so none is made up here.
 * @typedef {'SnapshotMissing' | 'SnapshotUnreadable' | 'SnapshotMalformed' | 'SnapshotIncomplete'
 *   | 'ProtectionUnavailable' | 'RuntimeError'} ProblemWord
 */

/** What is wrong with the files of a mount: a word, and never a part of a value. */
class Problem extends Error {
  /**
   * @param {ProblemWord} word
   * @param {string} detail for the log: names and places only
   * @param {string | null} [revision] of the damaged files, where it could be read
   */
  constructor(word, detail, revision = null) {
    super(`${word}: ${detail}`);
    this.name = 'Problem';
    this.word = word;
    this.detail = detail;
    this.revision = revision;
  }
}

module.exports = { Problem };
