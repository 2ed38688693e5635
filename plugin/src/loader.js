'use strict';

const mount = require('./mount');

/** Brings what stands in the mount into the holder, and tells people what they should know about it. */
class Loader {
  #mountPath;
  #holder;
  #log;
  /** What was last said to be wrong, so that it is said once. */
  #said = '';

  /**
   * @param {string} mountPath
   * @param {import('./holder').Holder} holder
   * @param {import('./log').Log} log
   */
  constructor(mountPath, holder, log) {
    this.#mountPath = mountPath;
    this.#holder = holder;
    this.#log = log;
    holder.on('swap', (snapshot, previous, changes) => this.#tell(snapshot, changes));
  }

  /** Reads the mount as it stands now. Synchronous, and cheap when nothing changed. */
  load() {
    const reading = mount.read(this.#mountPath);
    switch (reading.kind) {
      case 'whole': return this.#take(reading.snapshot);
      case 'absent': return this.#keep('SnapshotMissing', null, 'absent', { path: this.#mountPath });
      case 'broken': {
        const { word, detail, revision } = reading.problem;
        return this.#keep(word, revision, detail.what, { ...detail });
      }
      // At the start it is waited for. Later on somebody took the secrets away.
      case 'empty': return this.#holder.state === 'loading' ? undefined : this.#keep('SnapshotMissing', null, 'empty');
    }
  }

  /**
   * The first load. Where the mount is there and empty, the secrets are on their way: they are waited for, but not long,
   * since the editor's port stays closed meanwhile.
   * @param {number} waitMs
   * @returns {Promise<void> | undefined} undefined when there is nothing to wait for
   */
  first(waitMs) {
    this.load();
    if (this.#holder.state !== 'loading') return undefined;
    return new Promise((resolve) => {
      const giveUp = setTimeout(() => this.#keep('SnapshotMissing', null, 'waiting'), waitMs);
      this.#holder.once('state', () => {
        clearTimeout(giveUp);
        resolve();
      });
    });
  }

  /** @param {import('./snapshot').Snapshot} snapshot */
  #take(snapshot) {
    const was = this.#holder.state;
    try {
      this.#holder.load(snapshot);
    } catch (error) {
      // A listener's fault. Its message may quote what it worked on, so only its kind is told.
      return this.#keep('RuntimeError', snapshot.revision, 'fault', { kind: error instanceof Error ? error.name : 'unknown' });
    }
    if (was === 'stale') this.#log.info('loaded.again', { version: snapshot.version });
    this.#said = '';
  }

  /**
   * @param {import('./problem').ProblemWord} word
   * @param {string | null} revision
   * @param {string} what
   * @param {import('./log').Args} [args]
   */
  #keep(word, revision, what, args = {}) {
    this.#holder.keep(word, revision);
    const text = this.#log.say(`problem.${what}`, args);
    if (text === this.#said) return;
    this.#said = text;
    const kept = this.#holder.current;
    if (kept === null) this.#log.warn('kept.nothing', { word, text });
    else this.#log.warn('kept.version', { word, text, version: kept.version });
  }

  /**
   * @param {import('./snapshot').Snapshot} snapshot
   * @param {import('./snapshot').Changes} changes
   */
  #tell(snapshot, { added, changed, removed }) {
    const moved = new Set([...added, ...changed]);
    if (moved.size + removed.length > 0) {
      this.#log.info('loaded.version', {
        version: snapshot.version, added: added.length, changed: changed.length, removed: removed.length,
      });
    }
    const inexact = snapshot.inexact.filter((name) => moved.has(name));
    if (inexact.length > 0) this.#log.warn('loaded.inexact', { names: inexact.join(', ') });
  }
}

module.exports = { Loader };
