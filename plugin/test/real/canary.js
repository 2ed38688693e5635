'use strict';

// Values that stand nowhere but in secrets, and flows that show them to everybody.

const { dice } = require('../unit/redaction/snapshots');

const roll = dice(20260101);
const BASE64 = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'];
const HEX = [...'0123456789abcdef'];

/** One of each kind. */
const TEXT = {
  token: `tok-${roll.text(HEX, 36)}`,
  short: roll.text(BASE64, 8),
  escapes: roll.text([...'qx"\'\\/<>&%+=;`$\t #?Q7'], 48),
  unicode: roll.text([...'üßéЖщ日本語ключ🔑🗝️'], 40),
  pem: `-----BEGIN PRIVATE KEY-----\n${Array.from({ length: 12 }, () => roll.text(BASE64, 64)).join('\n')}\n-----END PRIVATE KEY-----\n`,
  long: roll.text(BASE64, 12_000),
};
const SERVICE = { client: roll.text(BASE64, 20), key: Array.from({ length: 3 }, () => roll.text(BASE64, 40)).join('\n') };
TEXT.service = JSON.stringify(SERVICE);
const JSON_VALUES = {
  account: { name: roll.text(BASE64, 24), login: [{ password: roll.text(BASE64, 30), tries: 3 }], deep: { er: { key: Array.from({ length: 4 }, () => roll.text([...'a"\\7Z'], 20)).join('\n') } } },
};

/** Each by a name of its own, without what is no secret: the armour of the PEM. */
const CANARIES = {
  ...TEXT,
  service: SERVICE.client,
  'service.key': SERVICE.key,
  pem: TEXT.pem.split('\n').slice(1, -2).join('\n'),
  'account.name': JSON_VALUES.account.name,
  'account.login': JSON_VALUES.account.login[0].password,
  'account.deep': JSON_VALUES.account.deep.er.key,
};

/** A function node that shows each value, and what it makes of it, in every way there is. */
const SHOW = `
const all = global.get('SECRETS');
const texts = Object.entries(all).flatMap(([key, value]) => typeof value === 'string' ? [value] : [value.name, value.login[0].password, value.deep.er.key, JSON.stringify(value)]);
texts.push(...Object.values(JSON.parse(all.service)));
for (const text of texts) {
  const bytes = Buffer.from(text);
  const forms = [text, JSON.stringify(text), JSON.stringify({ text: JSON.stringify(text) }), ...['', 'x', 'xy'].map((before) => Buffer.from(before + text + '!').toString('base64')), bytes.toString('base64url'),
    bytes.toString('hex'), encodeURIComponent(text), 'x'.repeat(990) + text, text.slice(0, -1) + '...', text.trim()];
  for (const form of forms) {
    node.warn(form);
    node.error('an error: ' + form);
    node.status({ fill: 'red', text: form });
    node.status({ fill: 'red', text: form.slice(0, 32) + '...' });
    node.log(form);
    console.log(form);
    console.error({ form });
    node.send([{ payload: form, topic: text }, null]);
  }
  node.send([{ payload: { text, forms, bytes, map: new Map([[text, forms]]), set: new Set(forms), list: [[text]], [text]: text, error: new Error(text, { cause: text }) }, error: { message: text } }, null]);
  node.send([{ payload: bytes }, null]);
  node.send([{ payload: new Error(text) }, null]);
  node.send([{ payload: [new Error(text), { toJSON: () => text }] }, null]);
  node.send([{ payload: { fill: 'red', shape: 'dot', text } }, null]);
  node.send([{ payload: text }, { payload: text, url: 'http://127.0.0.1:1/?q=' + encodeURIComponent(text) }]);
  node.warn(bytes);
  node.warn({ payload: text });
  node.error(new Error(text));
  try { null[text](); } catch (error) { node.error(error); }
}
// Written back to where they come from: refused, and on no disk.
for (const store of ['default', 'file']) {
  global.set('SECRETS', all, store);
  global.set('SECRETS.token', all.token, store);
  global.set(['SECRETS.copy', 'harmless'], [all, 1], store);
}
// Kept in memory under names of the flow's own.
flow.set('mine', all);
global.set('mine', { list: Object.values(all) });
context.set('mine', texts);
msg.payload = all;
return [null, null, msg];
`;

const debug = (id, more) => ({ id, type: 'debug', active: true, tosidebar: true, console: true, tostatus: true, complete: 'payload', targetType: 'msg', statusType: 'auto', ...more });

const FLOWS = [
  { id: 'tab', type: 'tab', label: 'canary' },
  { id: 'in', type: 'http in', url: '/show', method: 'get', wires: [['show']] },
  { id: 'show', type: 'function', func: SHOW, outputs: 3, wires: [['all', 'one', 'json', 'template'], ['request'], ['out']] },
  { id: 'out', type: 'http response', wires: [] },
  debug('all', { complete: 'true', targetType: 'full' }),
  debug('one', {}),
  debug('expression', { complete: '$globalContext("SECRETS")', targetType: 'jsonata', statusType: 'jsonata', statusVal: '$globalContext("SECRETS.token")' }),
  { id: 'json', type: 'json', property: 'payload', action: 'obj', wires: [['one']] },
  { id: 'template', type: 'template', field: 'payload', fieldType: 'msg', syntax: 'mustache', template: '{{global.SECRETS.escapes}} {{{global.SECRETS.escapes}}} {{payload}}', wires: [['one']] },
  { id: 'request', type: 'http request', method: 'GET', ret: 'txt', url: '', wires: [['all']] },
  { id: 'in2', type: 'http in', url: '/throw', method: 'get', wires: [['throw', 'change']] },
  { id: 'throw', type: 'function', func: "throw new Error('thrown: ' + global.get('SECRETS.escapes'));", outputs: 1, wires: [[]] },
  { id: 'change', type: 'change', rules: [{ t: 'set', p: 'payload', pt: 'msg', to: 'SECRETS.account', tot: 'global' }], wires: [['all', 'one', 'expression', 'out2']] },
  { id: 'out2', type: 'function', func: "msg.payload = 'done'; return msg;", outputs: 1, wires: [['out']] },
  { id: 'in3', type: 'http in', url: '/crash', method: 'get', wires: [['crash']] },
  { id: 'crash', type: 'function', func: "Promise.reject(new Error('nobody catches ' + global.get('SECRETS.token') + global.get('SECRETS.escapes')));", outputs: 1, wires: [[]] },
  { id: 'sub', type: 'subflow', name: 'sub', in: [{ x: 1, y: 1, wires: [{ id: 'inner' }] }], out: [{ x: 1, y: 1, wires: [{ id: 'inner', port: 0 }] }], env: [{ name: 'LENT', type: 'jsonata', value: '$globalContext("SECRETS.token")' }] },
  { id: 'inner', type: 'function', z: 'sub', func: "msg.payload = env.get('LENT'); node.warn(msg.payload); node.status(msg.payload); return msg;", outputs: 1, wires: [[]] },
  { id: 'instance', type: 'subflow:sub', env: [], wires: [['all', 'one']] },
  { id: 'inject', type: 'inject', props: [{ p: 'payload' }], payload: 'SECRETS.pem', payloadType: 'global', repeat: '', once: true, onceDelay: 0.1, wires: [['all', 'one', 'instance']] },
].map((node) => (node.type === 'tab' || node.type === 'subflow' ? node : { x: 100, y: 100, z: 'tab', wires: [], ...node }));

module.exports = { CANARIES, FLOWS, JSON_VALUES, TEXT };
