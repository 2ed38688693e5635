'use strict';

const fs = require('node:fs');

const { LINK, target } = require('./mount');

// What the file system forgets to tell (an overflow, a mount over the mount) is seen this late.
const POLL_MS = 20_000;
// Where no watch can be had, the one link is looked at so often. Linux gives a user 128 inotify instances by default, and
// all containers of one uid on a node share them: the 129th Node-RED gets none.
const DEAF_POLL_MS = 200;

/**
 * Tells of each swap of a mount, at once.
 *
 * It watches the folder: a watch on a file or on `..data` itself sees the first swap only, for the kubelet renames a new
 * link over the old one. Nothing is gathered: whoever reads at the last of several swaps reads the newest.
 */
class Watcher {
  #mountPath;
  #onSwap;
  /** @type {fs.FSWatcher | null} */
  #watch = null;
  /** @type {NodeJS.Timeout | null} */
  #poll = null;
  #pollMs;
  #seen;

  /**
   * @param {string} mountPath
   * @param {() => void} onSwap `..data` was renamed over, or points elsewhere than when it was last looked at
   * @param {{pollMs?: number}} [options]
   */
  constructor(mountPath, onSwap, { pollMs = POLL_MS } = {}) {
    this.#mountPath = mountPath;
    this.#onSwap = onSwap;
    this.#pollMs = pollMs;
    this.#seen = this.#look();
    this.#arm();
    this.#schedule();
  }

  close() {
    if (this.#poll !== null) clearTimeout(this.#poll);
    this.#poll = null;
    this.#disarm();
  }

  #schedule() {
    if (this.#poll !== null) clearTimeout(this.#poll);
    // Deaf: there is a folder and no watch of it.
    const deaf = this.#watch === null && this.#seen.folder !== null;
    this.#poll = setTimeout(() => {
      this.#check();
      if (this.#poll !== null) this.#schedule();
    }, deaf ? Math.min(DEAF_POLL_MS, this.#pollMs) : this.#pollMs).unref();
  }

  #arm() {
    try {
      this.#watch = fs.watch(this.#mountPath, { persistent: false }, (event, name) => {
        // With fsGroup the kubelet also touches the old link just before: a change, not a rename.
        if (event === 'rename' && (name === LINK || name === null)) this.#tell();
      });
      this.#watch.on('error', () => {
        this.#disarm();
        this.#schedule();
      });
    } catch {
      this.#disarm(); // No such folder, or no watches left: the poll tries again.
    }
  }

  #disarm() {
    this.#watch?.close();
    this.#watch = null;
  }

  /** The net below the watch. Another folder of that name has a watch of its own. */
  #check() {
    const now = this.#look();
    if (now.folder !== this.#seen.folder) this.#disarm();
    if (this.#watch === null) this.#arm();
    if (now.target !== this.#seen.target || now.folder !== this.#seen.folder) this.#tell();
  }

  #tell() {
    this.#seen = this.#look();
    this.#onSwap();
  }

  #look() {
    return { folder: inode(this.#mountPath), target: target(this.#mountPath) };
  }
}

/**
 * @param {string} folder
 * @returns {string | null}
 */
function inode(folder) {
  try {
    const { dev, ino } = fs.statSync(folder);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

module.exports = { Watcher };
