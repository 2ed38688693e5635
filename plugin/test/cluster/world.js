'use strict';

// The cluster that `cargo test --test editors` brings up, and what admins, teams and bad luck do in it.

const { execFile } = require('node:child_process');
const net = require('node:net');
const { setTimeout: pause } = require('node:timers/promises');
const { promisify } = require('node:util');

const run = promisify(execFile);

const LIMIT_MS = 30_000;
/** Node-REDs start on a machine that has other things to do. */
const START_MS = 120_000;
const LOOK_MS = 100;

/** What the Rust side hands over. @type {{kubectl: string, kubeconfig: string, hands: number}} */
const { kubectl: KUBECTL, kubeconfig: KUBECONFIG, hands: HANDS } = JSON.parse(process.env.SPACESYNC_WORLD
  ?? (() => { throw new Error('there is no cluster: these tests are run by `cargo test --test editors`'); })());

/**
 * As the cluster's admin.
 * @param {...string} args
 * @returns {Promise<string>}
 */
async function kubectl(...args) {
  return (await run(KUBECTL, ['--kubeconfig', KUBECONFIG, ...args])).stdout;
}

/**
 * Has the hands behind the stage do what is not Kubernetes': see tests/stage/hands.rs.
 * @param {string} what
 * @returns {Promise<any>}
 */
async function hands(what) {
  const socket = net.connect(HANDS, '127.0.0.1').setEncoding('utf8');
  socket.write(`${what}\n`);
  let text = '';
  for await (const chunk of socket) text += chunk;
  const { done, error } = JSON.parse(text);
  if (error !== undefined) throw new Error(error);
  return done;
}

/**
 * Looks until there is something to see.
 * @template T
 * @param {string} what for the error
 * @param {() => Promise<T | null | undefined | false>} look
 * @param {number} [limitMs]
 * @returns {Promise<T>}
 */
async function until(what, look, limitMs = LIMIT_MS) {
  for (const end = Date.now() + limitMs; Date.now() < end; await pause(LOOK_MS)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`not within ${limitMs} ms: ${what}`);
}

/**
 * How often pods have asked the operator's API, since the operator was started.
 * @param {'status' | 'sync' | 'settings' | 'acks'} route
 * @param {(code: number) => boolean} [which]
 * @returns {Promise<number>}
 */
async function asked(route, which = () => true) {
  const metrics = await hands('operator metrics');
  const lines = [...metrics.matchAll(/^spacesync_api_requests_total\{route="(\w+)",code="(\d+)"\} (\d+)$/gm)];
  // A label of another name would count nothing, and nothing is what some tests expect.
  const all = metrics.match(/^spacesync_api_requests_total\{/gm) ?? [];
  if (lines.length !== all.length) throw new Error(`unknown labels: ${metrics}`);
  return lines.filter(([, at, code]) => at === route && which(Number(code))).reduce((sum, [, , , count]) => sum + Number(count), 0);
}

/** A namespace, the space that is bound to it, and the sync in it, `secrets`. */
class Space {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @param {...string} args */
  kubectl(...args) {
    return kubectl('--namespace', this.name, ...args);
  }

  /**
   * @param {string} object
   * @param {object} patch
   */
  patch(object, patch) {
    return this.kubectl('patch', ...object.split('/'), '--type=merge', '--patch', JSON.stringify(patch));
  }

  /**
   * As a GitOps tool does it.
   * @param {string} manager
   * @param {'SpaceSecretSync' | 'FlowApp'} kind
   * @param {string} name
   * @param {object} spec
   */
  async apply(manager, kind, name, spec) {
    const applying = run(KUBECTL, ['--kubeconfig', KUBECONFIG, 'apply', '--server-side', '--force-conflicts', '--field-manager', manager, '--filename', '-']);
    applying.child.stdin?.end(JSON.stringify({ apiVersion: 'spacesync.dev/v1alpha1', kind, metadata: { name, namespace: this.name }, spec }));
    await applying;
  }

  /** Writes keys into the embedded store. @param {Record<string, string>} values */
  put(values) {
    return kubectl('--namespace', 'spacesync-system', 'patch', 'secret', `space-${this.name}`, '--patch', JSON.stringify({ stringData: values }));
  }

  /** @returns {Promise<any>} */
  async sync() {
    return JSON.parse(await this.kubectl('get', 'sss', 'secrets', '--output=json'));
  }

  /** The request to sync that was dealt with last. */
  async handled() {
    return (await this.sync()).status.lastHandledSyncRequest ?? '';
  }

  /**
   * The running pods of a flow app.
   * @param {string} app
   * @returns {Promise<{name: string, uid: string, ip: string}[]>}
   */
  async pods(app) {
    const { items } = JSON.parse(await this.kubectl('get', 'pods', '--selector', `app=${app}`, '--output=json'));
    return items.filter((/** @type {any} */ { metadata, status }) => metadata.deletionTimestamp === undefined && status.podIP)
      .map((/** @type {any} */ { metadata: { name, uid }, status }) => ({ name, uid, ip: status.podIP }));
  }

  /**
   * Gives each flow app so many pods, and waits until all of them have loaded what the sync brought.
   * @param {Record<string, number>} apps
   */
  async scale(apps) {
    await Promise.all(Object.entries(apps).map(([app, pods]) => this.kubectl('scale', `deployment/${app}`, `--replicas=${pods}`)));
    const all = Object.values(apps).reduce((sum, pods) => sum + pods, 0);
    await until(`${all} pods of ${this.name} delivered`, async () => {
      const { status: { delivery } } = await this.sync();
      return delivery.pods === all && delivery.loaded === all;
    }, START_MS);
  }
}

/**
 * The least, the middle and the greatest of some times.
 * @param {number[]} times
 */
function figures(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return { least: sorted[0], p50: sorted[Math.floor((sorted.length - 1) / 2)], max: sorted[sorted.length - 1] };
}

module.exports = { Space, asked, figures, hands, kubectl, until };
