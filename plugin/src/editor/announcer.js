'use strict';

/** @typedef {(topic: 'swap' | 'state' | 'sync', content: object) => void} Publish */

/**
 * Tells every open editor what moved, as soon as it does. Nothing is retained: who comes later asks.
 * @param {any} RED
 * @returns {Publish}
 */
function publisher(RED) {
  return (topic, content) => RED.comms.publish(`secret-manager/${topic}`, content, false);
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
