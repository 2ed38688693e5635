'use strict';

const { Acks } = require('./acks');
const { Client } = require('./client');
const editor = require('./editor');
const { Holder } = require('./holder');
const { countLegacyNodes } = require('./legacy-nodes');
const { Loader } = require('./loader');
const { createLog } = require('./log');
const mount = require('./mount');
const { readOptions } = require('./options');
const protection = require('./protection');
const reading = require('./reading');
const redaction = require('./redaction');
const { servesSecrets } = require('./version');
const { Watcher } = require('./watcher');
const { version: PLUGIN_VERSION } = require('../package.json');

const ID = 'spacesync-secret-manager';

/** @typedef {'context-store' | 'memory-store' | 'none'} ProtectionMode how SECRETS is kept from the context sidebar */
/** @typedef {{close(): void}} Closing */

/** The plugin in one Node-RED: puts the parts together and takes them apart again. */
class Plugin {
  #RED;
  #options;
  #log;
  #holder = new Holder();
  #client;
  /** What was installed, in the order of installation. @type {Closing[]} */
  #parts = [];
  /** Stays when the plugin steps back: people are told why. @type {import('./editor').Editor | null} */
  #editor = null;
  /** @type {ProtectionMode} */
  #protection = 'none';
  /** Why there is none, for people. @type {string | null} */
  #unprotected = null;
  /** @type {number | null} */
  #legacyNodes = null;

  /** @param {any} RED */
  constructor(RED) {
    this.#RED = RED;
    this.#options = readOptions(RED.settings, process.env);
    this.#log = createLog(RED);
    this.#client = new Client(this.#options.mountPath);
  }

  /** @returns {Promise<void> | undefined} */
  start() {
    this.#RED.plugins.registerPlugin(ID, { type: ID, onremove: () => this.#remove() });
    this.#editor = editor.install(this.#RED, { holder: this.#holder, client: this.#client, log: this.#log, about: () => this.#about() });
    this.#RED.events.on('runtime-event', this.#count);
    const told = this.#flowAppVersion();
    if (!servesSecrets(told)) {
      this.#log.warn('version.legacy', { version: told ?? '' });
      return undefined;
    }

    const { mountPath, waitMs } = this.#options;
    this.#protection = this.#installParts();
    const loader = new Loader(mountPath, this.#holder, this.#log);
    const acks = new Acks({ standing: () => this.#standing(), client: this.#client, log: this.#log });
    const onSwap = () => {
      loader.load();
      acks.look({ swapped: true });
      this.#editor?.swapped();
      this.#stepBackWhenTold();
    };
    this.#parts.push(acks, new Watcher(mountPath, onSwap));
    // On Start code of the flows reads what stands in the mount at this moment, not what a watch has told of.
    this.#listen('flows:starting', onSwap);
    this.#listen('runtime-event', (/** @type {any} */ { id }) => {
      if (id === 'runtime-deploy') acks.look();
    });
    this.#holder.on('state', () => acks.look());
    const waiting = loader.first(waitMs);
    acks.look();
    return waiting;
  }

  /**
   * Protection first: nothing may be readable before it is masked. And all or nothing: what is not protected is not given.
   * @returns {ProtectionMode}
   */
  #installParts() {
    try {
      const guard = protection.install(this.#RED, this.#holder, { log: this.#log });
      this.#parts.push(guard);
      if (guard.mode === 'none') return this.#withoutSecrets(guard.reason ?? '');
      this.#parts.push(reading.install(this.#RED), redaction.install(this.#RED, this.#holder));
      return guard.mode;
    } catch (error) {
      this.#close();
      return this.#withoutSecrets(this.#log.say('problem.fault', { kind: error instanceof Error ? error.name : 'unknown' }));
    }
  }

  /**
   * @param {string} reason
   * @returns {ProtectionMode}
   */
  #withoutSecrets(reason) {
    this.#unprotected = reason;
    this.#log.error('protection.none', { reason });
    return 'none';
  }

  /** @returns {import('./acks').Standing} */
  #standing() {
    return {
      holder: this.#holder,
      told: mount.told(this.#options.mountPath, 'revision'),
      runtime: { name: 'node-red', version: this.#nodeRedVersion(), plugin: PLUGIN_VERSION, protection: this.#protection },
      legacyNodes: this.#legacyNodes,
    };
  }

  /** @returns {import('./editor/state').About} */
  #about() {
    const told = this.#flowAppVersion();
    return {
      plugin: PLUGIN_VERSION, served: servesSecrets(told), flowAppVersion: told,
      protection: this.#protection, protectionReason: this.#unprotected,
      legacy: { type: this.#options.legacyNodeType, count: this.#legacyNodes },
    };
  }

  /** Before what hangs on its result hears of the deploy. */
  #count = (/** @type {{id: string}} */ { id }) => {
    if (id !== 'runtime-deploy') return;
    this.#legacyNodes = countLegacyNodes(this.#RED, this.#options.legacyNodeType);
    this.#editor?.look();
  };

  /** From a checkout it says `4.1.15-git`. */
  #nodeRedVersion() {
    return String(this.#RED.version()).replace(/-git$/, '');
  }

  /** The platform's word, else the mounted file's. The file may still be empty when a pod starts. */
  #flowAppVersion() {
    return this.#options.flowAppVersion ?? mount.told(this.#options.mountPath, 'flow-app-version');
  }

  #stepBackWhenTold() {
    const told = this.#flowAppVersion();
    if (servesSecrets(told)) return;
    this.#close();
    this.#editor?.look();
    this.#log.warn('version.legacy', { version: told ?? '' });
  }

  /**
   * @param {string} event
   * @param {(event: any) => void} listener
   */
  #listen(event, listener) {
    this.#RED.events.on(event, listener);
    this.#parts.push({ close: () => this.#RED.events.removeListener(event, listener) });
  }

  #remove() {
    this.#close();
    this.#editor?.close();
    this.#RED.events.removeListener('runtime-event', this.#count);
  }

  #close() {
    for (const part of this.#parts.splice(0).reverse()) part.close();
  }
}

module.exports = { Plugin };
