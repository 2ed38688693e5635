import { element } from '../dom.js';

/**
 * The nodes that use a key, each a button that shows it.
 * @param {any} RED
 * @param {import('../text.js').Text} text
 * @param {readonly import('../usage.js').User[]} nodes
 */
export function users(RED, text, nodes) {
  return element('ul', {}, ...nodes.map(({ id, label, flow }) => element('li', {}, element('button', {
    type: 'button', class: 'secret-manager-plain secret-manager-link', onclick: () => RED.view.reveal(id),
  }, flow === '' ? label : text.say('sidebar.secrets.user', { label, flow })))));
}
