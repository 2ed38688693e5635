'use strict';

const { EventEmitter } = require('node:events');

/**
 * Whoever asks without being heard to connect is there this long: an editor that was open before the plugin was installed,
 * or one behind a proxy that lets no web socket through.
 */
const VISIT_MS = 60_000;

/** Knows whether any editor is open. Emits `change(present)`, and `came` for each that opens. */
class Presence extends EventEmitter {
  #events;
  /** The editors' web sockets, by Node-RED's name of them. @type {Set<string>} */
  #sessions = new Set();
  /** @type {NodeJS.Timeout | null} */
  #visit = null;
  #present = false;

  /** @param {import('node:events').EventEmitter} events Node-RED's */
  constructor(events) {
    super();
    this.#events = events;
    events.on('comms:connection-added', this.#added);
    events.on('comms:connection-removed', this.#removed);
  }

  /** Whether any is open. */
  get present() {
    return this.#present;
  }

  /** Somebody asked. */
  visit() {
    if (this.#visit !== null) clearTimeout(this.#visit);
    this.#visit = setTimeout(() => this.#leave(), VISIT_MS).unref();
    this.#look();
  }

  close() {
    this.#events.removeListener('comms:connection-added', this.#added);
    this.#events.removeListener('comms:connection-removed', this.#removed);
    this.removeAllListeners();
    this.#sessions.clear();
    this.#leave();
  }

  #added = (/** @type {{session: string}} */ { session }) => {
    this.#sessions.add(session);
    this.#look();
    this.emit('came');
  };

  /** Whoever has a web socket asks as well: when the last of them goes, their questions do not keep them here. */
  #removed = (/** @type {{session: string}} */ { session }) => {
    if (this.#sessions.delete(session) && this.#sessions.size === 0) this.#leave();
  };

  #leave() {
    if (this.#visit !== null) clearTimeout(this.#visit);
    this.#visit = null;
    this.#look();
  }

  #look() {
    const present = this.#sessions.size > 0 || this.#visit !== null;
    if (present === this.#present) return;
    this.#present = present;
    this.emit('change', present);
  }
}

module.exports = { Presence };
