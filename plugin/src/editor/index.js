'use strict';

// What the editors ask of the runtime, and what it tells them. Words, names, times and counts: no value comes through here.

const { Announcer, publisher } = require('./announcer');
const { onDeploy } = require('./deploys');
const { serve } = require('./endpoints');
const { KeyList } = require('./key-list');
const { OperatorStatus } = require('./operator-status');
const { Presence } = require('./presence');
const { own } = require('./refusal');
const { stateOf } = require('./state');
const { SyncNow } = require('./sync-now');
const { SyncOnSave } = require('./sync-on-save');

/** @typedef {{close(): void, look(): void, swapped(): void, readonly operator: import('./operator-status').Standing}} Editor */

/** The installation before, also of another copy of this package: the newest serves. */
const INSTALLED = Symbol.for('spacesync.editor');

/**
 * `look` is to be called when what `about` says has moved, `swapped` when the mount was: the way to the operator stands there.
 * @param {any} RED
 * @param {{holder: import('../holder').Holder, client: Pick<import('../client').Client, 'call'>, log: import('../log').Log,
 *   about: () => import('./state').About, heard?: () => void}} parts `heard`: the operator said something new, or nothing any more
 * @returns {Editor}
 */
function install(RED, { holder, client, log, about, heard = () => {} }) {
  /** @type {any} */ (globalThis)[INSTALLED]?.close();
  const publish = publisher(RED);
  const presence = new Presence(RED.events);
  const operator = new OperatorStatus(client);
  const saves = new SyncOnSave({ client, log });
  const keys = new KeyList(holder);
  const syncNow = new SyncNow({ holder, client, log, progress: (of) => publish('sync', of) });
  const state = () => stateOf({ about: about(), holder, operator: operator.standing, saves: { pending: saves.pending } });
  const announcer = new Announcer(state, publish);

  /** @type {import('./endpoints').Behind['sync']} */
  const sync = async () => {
    const { served, protection } = about();
    if (!served) return { outcome: 'error', ...own(409, 'LegacyNodeServes', log) };
    if (protection === 'none') return { outcome: 'error', ...own(409, 'ProtectionUnavailable', log) };
    const end = await syncNow.run();
    operator.look();
    return end;
  };
  /** @type {import('./endpoints').Behind['settings']} */
  const settings = async (body) => {
    const answer = await client.call('PATCH', '/v1/settings', { body });
    operator.look();
    return answer;
  };
  const endpoints = serve(RED, { state, keys: () => keys.body(), sync, settings, visited: () => presence.visit(), log });
  const deploys = onDeploy(RED, () => {
    if (about().served) saves.saved();
  });

  const swapped = (/** @type {import('../snapshot').Snapshot} */ { version, revision, keys: { length } }, /** @type {unknown} */ _,
    /** @type {import('../snapshot').Changes} */ { added, changed, removed }) => {
    publish('swap', { version, revision, count: length, added: added.length, changed: changed.length, removed: removed.length });
    announcer.look();
    operator.look();
  };
  holder.on('swap', swapped);
  holder.on('state', announcer.look);
  presence.on('change', (present) => operator.watch(present));
  presence.on('came', () => {
    announcer.repeat();
    operator.look();
  });
  // Who of the two hears the operator again tells the other.
  operator.on('change', () => {
    if (operator.standing.reachable) saves.nudge();
    announcer.look();
    heard();
  });
  saves.on('change', () => {
    if (!saves.pending) operator.look();
    announcer.look();
  });

  const editor = {
    get operator() { return operator.standing; },
    look: announcer.look,
    swapped() {
      saves.nudge();
      if (operator.standing.reachable === false) operator.look();
    },
    close() {
      holder.removeListener('swap', swapped);
      holder.removeListener('state', announcer.look);
      for (const part of [endpoints, deploys, presence, announcer, syncNow, saves, operator, keys]) part.close();
      if (/** @type {any} */ (globalThis)[INSTALLED] === editor) delete /** @type {any} */ (globalThis)[INSTALLED];
    },
  };
  /** @type {any} */ (globalThis)[INSTALLED] = editor;
  return editor;
}

module.exports = { install };
