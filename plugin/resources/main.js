// The editor half: puts the parts together.

import { Api } from './api.js';
import { Commands } from './commands.js';
import { offerKeys } from './completion.js';
import { Advice } from './legacy/advice.js';
import { Live } from './live.js';
import { Store } from './store.js';
import { Text } from './text.js';
import { usage } from './usage.js';
import { Badge } from './view/badge.js';
import { Secrets } from './view/secrets.js';
import { Status } from './view/status.js';

/** Flows are looked through so long after the last touch. */
const SCAN_MS = 250;
const TOUCHES = ['flows:loaded', 'nodes:add', 'nodes:remove', 'nodes:change', 'flows:add', 'flows:change', 'flows:remove', 'subflows:change', 'groups:change', 'editor:close'];

/**
 * Fills the tab.
 * @param {any} RED
 * @param {HTMLElement} root
 * @param {{jQuery: any, monaco: any, showTab: () => void}} editor
 */
export function start(RED, root, { jQuery, monaco, showTab }) {
  const text = new Text(RED._, RED.i18n.lang());
  const store = new Store();
  const api = new Api(jQuery);
  const live = new Live(RED, api, store);
  const commands = new Commands(api, live, store);
  const status = new Status(text, commands);
  const secrets = new Secrets(RED, text, commands);
  const badge = new Badge(RED, text, root);
  root.replaceChildren(status.root, secrets.root);

  const signedIn = () => store.set({
    mayRead: RED.user.hasPermission('secret-manager.read'), mayWrite: RED.user.hasPermission('secret-manager.write'),
  });
  RED.events.on('login', () => {
    signedIn();
    live.refresh();
  });
  signedIn();
  store.view((facts) => {
    status.update(facts);
    secrets.update(facts);
    badge.update(facts);
  });
  setInterval(() => status.tick(), 1000);

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const scan = () => {
    clearTimeout(timer);
    timer = setTimeout(() => store.set({ usage: usage(RED) }), SCAN_MS);
  };
  for (const touch of TOUCHES) RED.events.on(touch, scan);
  scan();

  const action = (/** @type {string} */ name, /** @type {() => void} */ act) =>
    RED.actions.add(`secret-manager:${name}`, act, { label: text.say(`sidebar.action.${name}`) });
  action('show', showTab);
  action('search', () => {
    showTab();
    secrets.search();
  });
  action('sync-now', () => {
    showTab();
    commands.syncNow();
  });
  const advice = new Advice(RED, text, store, commands);
  advice.start();
  action('legacy-nodes', () => advice.ask());
  offerKeys(monaco, store, text);
  live.start();
}
