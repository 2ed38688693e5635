'use strict';

const { Browser } = require('./editor');
const { KubeletVolume, delivered } = require('../kubelet-volume');
const { Operator } = require('../operator');
const { NodeRed } = require('../real/harness');

const VALUES = { my_api_token: 'the-value-of-my-api-token', 'a.b': 'the-value-of-a-dot-b', 'my-token': 'the-value-with-a-dash' };

const FLOWS = [
  { id: 'ingest', type: 'tab', label: 'Ingest' },
  { id: 'sub', type: 'subflow', name: 'Shared', in: [], out: [] },
  { id: 'sign', type: 'function', z: 'ingest', name: 'sign', x: 240, y: 100, wires: [[]], func: 'msg.token = global.SECRETS.my_api_token;\nreturn msg;' },
  { id: 'headers', type: 'change', z: 'ingest', name: 'headers', x: 240, y: 160, wires: [[]], rules: [{ t: 'set', p: 'headers', pt: 'msg', to: 'SECRETS.my_api_token', tot: 'global' }] },
  { id: 'page', type: 'template', z: 'sub', name: 'page', x: 240, y: 100, wires: [[]], field: 'payload', template: '{{{global.SECRETS.not_here}}} {{{global.SECRETS["a.b"]}}}' },
];

/** A Node-RED with the plugin, what is mounted in it, the operator behind it, and a browser before it. */
class Stage {
  /**
   * @param {4 | 5} runtime
   * @param {import('../real/harness').Options} [options]
   */
  static async set(runtime, options = {}) {
    const operator = await Operator.start();
    const volume = KubeletVolume.create();
    const stage = new Stage(operator, volume, await Browser.start());
    stage.deliver(43);
    stage.red = await NodeRed.start({ runtime, flows: FLOWS, mount: volume.path, ...options });
    return stage;
  }

  /**
   * @param {Operator} operator
   * @param {KubeletVolume} volume
   * @param {Browser} browser
   */
  constructor(operator, volume, browser) {
    this.operator = operator;
    this.volume = volume;
    this.browser = browser;
    this.version = 0;
    /** @type {NodeRed} */
    this.red = /** @type {any} */ (null);
  }

  /**
   * What the operator does for a new version: it is mounted, and told.
   * @param {number} version
   * @param {Record<string, string>} [text]
   */
  deliver(version, text = VALUES) {
    const revision = `${version}-0123456789abcdef`;
    const now = Date.now();
    const before = (/** @type {number} */ ms) => new Date(now - ms).toISOString();
    this.version = version;
    this.operator.status = {
      ...this.operator.status, version, revision, lastChecked: before(2_000), updatedAt: before(90_000), issuedAt: before(4_000),
      pod: { name: 'ingest-0', told: revision, loaded: revision }, flowApp: { name: 'ingest', version: '5.3.0', pods: 4, loaded: 3 },
    };
    this.volume.swap(delivered({
      version, text, json: { account: { user: 'somebody', password: 'the-password-of-somebody' } }, updatedAt: before(90_000), issuedAt: before(4_000), told: this.operator.told,
    }));
  }

  /** @param {object} status what the operator says from now on */
  tell(status) {
    this.operator.status = { ...this.operator.status, ...status };
  }

  async clear() {
    await this.browser.close();
    await this.red?.remove();
    this.operator.close();
    this.volume.remove();
  }
}

module.exports = { Stage, VALUES };
