'use strict';

/** @typedef {(topic: 'swap' | 'state' | 'sync', content: object) => void} Publish */

/**
 * Tells every open editor what moved, as soon as it does. Nothing is retained: who comes later asks. It never throws: it is
 * called in the middle of a swap, and whatever else listens to these messages may not end that.
 * @param {any} RED
 * @returns {Publish}
 */
function publisher(RED) {
  return (topic, content) => {
    try {
      RED.comms.publish(`secret-manager/${topic}`, content, false);
    } catch {
      // Editors ask again when they connect.
    }
  };
}

/** Announces the state whenever it is another, once for all that moved in one go. */
class Announcer {
  #state;
  #publish;
  #said = '';
  #due = false;
  #closed = false;

  /**
   * @param {() => ReturnType<typeof import('./state').stateOf>} state
   * @param {Publish} publish
   */
  constructor(state, publish) {
    this.#state = state;
    this.#publish = publish;
  }

  /** Something moved. */
  look = () => {
    if (this.#due || this.#closed) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      if (!this.#closed) this.#say();
    });
  };

  /** Somebody is new and may have asked just before something moved. */
  repeat = () => {
    this.#said = '';
    this.look();
  };

  close() {
    this.#closed = true;
  }

  /** The time of the operator's last answer moves with each, and is no news. */
  #say() {
    const state = this.#state();
    const text = JSON.stringify({ ...state, operator: { ...state.operator, at: null } });
    if (text === this.#said) return;
    this.#said = text;
    this.#publish('state', state);
  }
}

module.exports = { Announcer, publisher };
