'use strict';

const { Acks } = require('./acks');
const { Client } = require('./client');
const editor = require('./editor');
const { Holder } = require('./holder');
const { Legacy } = require('./legacy');
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
  #loader;
  #legacy;
  /** Whether flows are given secrets, as far as the Flow App's version and its nodes go. */
  #served = false;
  /** What was installed to serve them, in the order of installation. @type {Closing[]} */
  #parts = [];
  /** What stays when the plugin steps back: people are told why, and it may have to come back. @type {Closing[]} */
  #staying = [];
  /** @type {Acks | null} */
  #acks = null;
  /** @type {import('./editor').Editor | null} */
  #editor = null;
  /** @type {ProtectionMode} */
  #protection = 'none';
  /** Why there is none, for people. @type {string | null} */
  #unprotected = null;
  /** What people were told last of why flows are not served. @type {string | null} */
  #told = null;

  /** @param {any} RED */
  constructor(RED) {
    this.#RED = RED;
    this.#options = readOptions(RED.settings, process.env);
    this.#log = createLog(RED);
    this.#client = new Client(this.#options.mountPath);
    this.#loader = new Loader(this.#options.mountPath, this.#holder, this.#log);
    this.#legacy = new Legacy(RED, {
      type: this.#options.legacyNodeType, holder: this.#holder, client: this.#client, log: this.#log,
      standing: () => ({
        needed: !servesSecrets(this.#flowAppVersion()), served: this.#served, protection: this.#protection, operator: this.#editor?.operator ?? null,
      }),
    });
  }

  /** @returns {Promise<void> | undefined} */
  start() {
    this.#RED.plugins.registerPlugin(ID, { type: ID, legacy: this.#legacy, onremove: () => this.#remove() });
    this.#editor = editor.install(this.#RED, {
      holder: this.#holder, client: this.#client, log: this.#log, about: () => this.#about(), heard: this.#legacy.look,
    });
    this.#staying.push(this.#editor, this.#legacy, new Watcher(this.#options.mountPath, this.#swapped));
    this.#listen('runtime-event', this.#deployed, this.#staying);
    this.#listen('flows:starting', this.#starting, this.#staying);
    this.#listen('flows:started', this.#started, this.#staying);
    if (servesSecrets(this.#flowAppVersion())) return this.#serve();
    // Which nodes flows hold is known only after the context stores are open.
    this.#staying.push(protection.prepare(this.#RED));
    return undefined;
  }

  /** @returns {Promise<void> | undefined} undefined when there is nothing to wait for */
  #serve() {
    this.#served = true;
    this.#told = null;
    this.#unprotected = null;
    this.#protection = this.#installParts();
    const acks = new Acks({ standing: () => this.#standing(), client: this.#client, log: this.#log });
    const look = () => acks.look();
    this.#acks = acks;
    this.#holder.on('state', look);
    this.#parts.push(acks, { close: () => this.#holder.removeListener('state', look) });
    const waiting = this.#loader.first(this.#options.waitMs);
    acks.look();
    return waiting;
  }

  #stepBack() {
    this.#served = false;
    this.#protection = 'none';
    this.#acks = null;
    this.#close(this.#parts);
  }

  /** From 5.3.0 on flows are served. Below, as long as they hold a legacy node, and it is ours. */
  #decide() {
    const version = this.#flowAppVersion();
    const serves = servesSecrets(version) || this.#legacy.present;
    if (serves && !this.#served) this.#serve();
    if (!serves) {
      if (this.#served) this.#stepBack();
      this.#tell(version ?? '');
    }
    this.#legacy.look();
    this.#editor?.look();
  }

  /** @param {string} version below 5.3.0, where flows are not served: who serves them, or what to do */
  #tell(version) {
    if (!this.#legacy.known) return;
    const text = this.#legacy.ours ? 'version.no-node' : 'version.legacy';
    if (this.#told !== `${text} ${version}`) this.#log.warn(text, { version });
    this.#told = `${text} ${version}`;
  }

  #swapped = () => {
    if (this.#served) this.#loader.load();
    this.#acks?.look({ swapped: true });
    this.#editor?.swapped();
    this.#legacy.swapped();
    this.#decide();
  };

  /** On Start code of the flows reads what stands in the mount at this moment, not what a watch has told of. */
  #starting = (/** @type {{config?: {flows?: any[]}}} */ { config }) => {
    this.#legacy.starting(config?.flows ?? []);
    this.#swapped();
  };

  #started = () => {
    this.#legacy.started();
    this.#decide();
  };

  /** Counted before what hangs on the count hears of the deploy. */
  #deployed = (/** @type {{id: string}} */ { id }) => {
    if (id !== 'runtime-deploy') return;
    this.#legacy.recount();
    this.#editor?.look();
    this.#acks?.look();
  };

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
      this.#close(this.#parts);
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
      legacyNodes: this.#legacy.count,
    };
  }

  /** @returns {import('./editor/state').About} */
  #about() {
    const { type, count, ours, needed } = this.#legacy;
    return {
      plugin: PLUGIN_VERSION, served: this.#served, flowAppVersion: this.#flowAppVersion(),
      protection: this.#protection, protectionReason: this.#unprotected, legacy: { type, count, ours, needed },
    };
  }

  /** From a checkout it says `4.1.15-git`. */
  #nodeRedVersion() {
    return String(this.#RED.version()).replace(/-git$/, '');
  }

  /** The platform's word, else the mounted file's. The file may still be empty when a pod starts. */
  #flowAppVersion() {
    return this.#options.flowAppVersion ?? mount.told(this.#options.mountPath, 'flow-app-version');
  }

  /**
   * @param {string} event
   * @param {(event: any) => void} listener
   * @param {Closing[]} parts
   */
  #listen(event, listener, parts) {
    this.#RED.events.on(event, listener);
    parts.push({ close: () => this.#RED.events.removeListener(event, listener) });
  }

  #remove() {
    this.#close(this.#parts);
    this.#close(this.#staying);
  }

  /** @param {Closing[]} parts */
  #close(parts) {
    for (const part of parts.splice(0).reverse()) part.close();
  }
}

module.exports = { Plugin, ID };
