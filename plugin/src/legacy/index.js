'use strict';

const { countLegacyNodes, holdsEnabled } = require('./nodes');
const { statusOf } = require('./status');
const { Wish } = require('./wish');

/**
 * @typedef {{id: string, _alias?: string, on(event: 'close', listener: () => void): void, status(of: object): void}} RuntimeNode
 * `_alias`: what its definition is called, where it is an instance of one in a subflow
 * @typedef {{node: RuntimeNode, settings: import('./wish').Settings, said: string}} Member
 * @typedef {{
 *   needed: boolean, served: boolean, protection: import('../plugin').ProtectionMode, operator: import('./status').Facts['operator'],
 * }} Standing `needed`: below Flow App 5.3.0
 */

/** @typedef {{readonly ours: boolean, close(): void}} Vacancy the type, as far as it is our node's */

/** The legacy nodes in the flows of this Node-RED, and our node among them: a thin front on the plugin. */
class Legacy {
  #RED;
  #holder;
  #log;
  #standing;
  #wish;
  /** Those of ours that run, in the order of the flows that were deployed. @type {Member[]} */
  #members = [];
  /** Where a node stands in these, by its id. @type {Map<string, number>} */
  #places = new Map();
  /** Whether it is known which nodes flows hold. */
  known = false;
  /** Nodes come and go: who is the first is not known yet. */
  #starting = false;
  /** Flows are starting, and will start one of ours. */
  #expected = false;
  /** @type {Vacancy | null} */
  #vacancy = null;
  #warned = 0;

  /**
   * @param {any} RED
   * @param {{type: string, holder: import('../holder').Holder, client: Pick<import('../client').Client, 'call'>, log: import('../log').Log,
   *   standing: () => Standing}} parts
   */
  constructor(RED, { type, holder, client, log, standing }) {
    this.#RED = RED;
    this.type = type;
    /** How many the deployed flows hold, whosoever. @type {number | null} */
    this.count = null;
    this.#holder = holder;
    this.#log = log;
    this.#standing = standing;
    this.#wish = new Wish({ client, log });
    this.#wish.on('change', this.look);
    holder.on('swap', this.look);
    holder.on('state', this.look);
  }

  /** Whether the type that flows get is our node. */
  get ours() {
    return this.#vacancy?.ours ?? false;
  }

  /** Below Flow App 5.3.0: else nobody needs a node. */
  get needed() {
    return this.#standing().needed;
  }

  /** Whether flows have, or are about to have, a node of ours. */
  get present() {
    return this.#members.length > 0 || this.#expected;
  }

  /** @param {Vacancy} vacancy our node set has loaded */
  hold(vacancy) {
    this.#vacancy = vacancy;
  }

  /** Flows were deployed, or loaded. */
  recount() {
    this.count = countLegacyNodes(this.#RED, this.type);
  }

  /** @param {any[]} flows that are about to start */
  starting(flows) {
    this.known = true;
    this.#starting = true;
    this.#expected = this.ours && holdsEnabled(flows, this.type);
    this.#places = new Map(flows.filter(({ type }) => type === this.type).map(({ id }, place) => [id, place]));
  }

  /** All nodes have started. */
  started() {
    this.#starting = false;
    this.#expected = false;
    const place = (/** @type {Member} */ { node }) => this.#places.get(node._alias ?? node.id) ?? Infinity;
    this.#members.sort((one, other) => place(one) - place(other));
    if (!this.needed || this.#members.length === this.#warned) return;
    this.#warned = this.#members.length;
    if (this.#warned > 1) this.#log.warn('legacy.second', { count: this.#warned });
  }

  /**
   * A node of ours runs, until it closes.
   * @param {RuntimeNode} node
   * @param {import('./wish').Settings} settings
   */
  join(node, settings) {
    const member = { node, settings, said: '' };
    this.#members.push(member);
    node.on('close', () => {
      this.#members = this.#members.filter((one) => one !== member);
    });
  }

  /** Something moved. */
  look = () => {
    if (this.#starting) return;
    const standing = this.#standing();
    const [first] = this.#members;
    if (first !== undefined) this.#wish.be(standing.needed ? first.settings : {});
    for (const member of this.#members) this.#show(member, member === first, standing);
  };

  /** The way to the operator stands in the mount. */
  swapped() {
    this.#wish.nudge();
  }

  close() {
    this.#holder.removeListener('swap', this.look);
    this.#holder.removeListener('state', this.look);
    this.#vacancy?.close();
    this.#wish.close();
  }

  /**
   * @param {Member} member
   * @param {boolean} first
   * @param {Standing} standing
   */
  #show(member, first, { needed, ...here }) {
    const facts = { ...here, first, holder: this.#holder, refused: this.#wish.refused };
    const status = needed ? statusOf(facts, this.#log.say) : {};
    const said = needed ? JSON.stringify(status) : '';
    if (said === member.said) return;
    member.said = said;
    member.node.status(status);
  }
}

module.exports = { Legacy };
