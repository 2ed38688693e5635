'use strict';

// What people are shown in a real Node-RED when a flow shows them everything.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { KubeletVolume, delivered } = require('../kubelet-volume');
const { NodeRed } = require('./harness');

const TOKEN = 'tok-4f9a1c77e2"\\b0';
const OLD = 'the-old-value-0815';
const LONG = 'long-'.padEnd(60, 'abcdefghi');

/** Shows what there is in every way that a flow has, and answers with it. */
const SHOW = `
const token = global.get('SECRETS.token'), long = global.get('SECRETS.long');
const failure = new Error('refused: ' + token, { cause: token });
failure.code = token;
class Card { constructor() { this.pin = token; } }
class Written { toJSON() { return { pin: token, text: 'x'.repeat(990) + long }; } }
msg.payload = {
  text: token, list: [1, [token]], deep: { a: { b: token } }, [token]: 'a name', map: new Map([[token, [token]]]), set: new Set([token]),
  bytes: Buffer.from('bytes ' + token), array: new Uint8Array(Buffer.from(token)), failure, card: new Card(), written: new Written(),
  get got() { return token; }, cut: 'x'.repeat(997) + token, base64: Buffer.from('u:' + token).toString('base64'),
  escape: '\\nlong-text', json: JSON.stringify({ token }),
};
msg.payload.self = msg.payload;
msg.topic = token;
node.status({ fill: 'red', text: 'sent ' + token });
node.warn(token);
node.warn({ token });
node.warn(failure);
node.error('with a message: ' + token, msg);
node.error('without: ' + token);
node.log('info: ' + token);
console.log('console', { token });
console.error(failure);
process: try { msg.payload.none.none(token); } catch (error) { node.error(error); }
const sent = RED.util.cloneMessage(msg);
node.send([sent, { payload: 'x'.repeat(997) + token }, { payload: Buffer.from(token) }, { payload: new Error(token) }, { payload: [token] },
  { payload: new Map([['k', token]]) }, { payload: long }, { payload: { fill: 'red', shape: 'dot', text: 'status ' + token } }]);
msg.payload = { token, same: msg.payload.deep.a.b === token && msg.payload.set.has(token) && sent.payload.text === token, error: failure.message };
node.send([null, null, null, null, null, null, null, null, msg]);
`;

const flows = [
  { id: 'tab', type: 'tab', label: 'show' },
  { id: 'in', type: 'http in', z: 'tab', url: '/show', method: 'get', wires: [['show']] },
  { id: 'show', type: 'function', z: 'tab', name: 'show', func: SHOW, outputs: 9, wires: [['all'], ['text'], ['text'], ['text'], ['text'], ['text'], ['text'], ['text'], ['out']] },
  { id: 'out', type: 'http response', z: 'tab', wires: [] },
  { id: 'all', type: 'debug', z: 'tab', active: true, tosidebar: true, console: true, tostatus: false, complete: 'true', targetType: 'full' },
  { id: 'text', type: 'debug', z: 'tab', active: true, tosidebar: true, console: true, tostatus: true, complete: 'payload', targetType: 'msg', statusType: 'auto' },
  { id: 'catch', type: 'catch', z: 'tab', scope: ['show'], wires: [['caught']] },
  { id: 'caught', type: 'function', z: 'tab', func: "flow.set('caught', msg.error.message); return null;", outputs: 1, wires: [[]] },
  { id: 'in2', type: 'http in', z: 'tab', url: '/caught', method: 'get', wires: [['caught2']] },
  { id: 'caught2', type: 'function', z: 'tab', func: "msg.payload = flow.get('caught'); return msg;", outputs: 1, wires: [['out']] },
  { id: 'in3', type: 'http in', z: 'tab', url: '/say', method: 'get', wires: [['say']] },
  { id: 'say', type: 'function', z: 'tab', func: 'node.warn(msg.payload.text); msg.payload = global.get("SECRETS.moving"); return msg;', outputs: 1, wires: [['out']] },
];

// A node without a place in the editor would count as a configuration.
for (const node of flows) if (node.z) Object.assign(node, { x: 100, y: 100 });

const values = (moving) => delivered({ text: { token: TOKEN, long: LONG, newline: 'nlong-text', moving }, version: moving === OLD ? 1 : 2 });

for (const runtime of [4, 5]) {
  describe(`Node-RED ${runtime}`, () => {
    /** @type {NodeRed} */ let red;
    /** @type {KubeletVolume} */ let volume;
    let editor;
    let answer;

    before(async () => {
      volume = KubeletVolume.create();
      volume.swap(values(OLD));
      red = await NodeRed.start({ runtime, mount: volume.path, flows, deadline: 20_000 });
      editor = await red.comms('reader');
      answer = await red.request('/show');
      await red.until(() => editor.frames.some((frame) => frame.includes('status ‹SECRETS.token›')), 'the last of what is shown');
    });
    after(async () => {
      await red?.remove();
      volume?.remove();
    });

    const sent = () => editor.frames.flatMap((frame) => JSON.parse(frame));
    const debugged = () => sent().filter(({ topic }) => topic === 'debug').map(({ data }) => data);

    test('flows see what they always saw', async () => {
      assert.deepEqual(answer.json, { token: TOKEN, same: true, error: `refused: ${TOKEN}` });
      assert.equal((await red.request('/caught')).text, `with a message: ${TOKEN}`);
    });

    test('the debug sidebar shows the names of the keys, wherever the values stood', () => {
      const full = debugged().find(({ id }) => id === 'all');
      const { payload, topic } = JSON.parse(full.msg);
      assert.equal(topic, '‹SECRETS.token›');
      assert.equal(payload.text, '‹SECRETS.token›');
      assert.deepEqual(payload.list, [1, ['‹SECRETS.token›']]);
      assert.equal(payload.deep.a.b, '‹SECRETS.token›');
      assert.equal(payload['‹SECRETS.token›'], 'a name');
      assert.deepEqual(payload.map.data, { '‹SECRETS.token›': ['‹SECRETS.token›'] });
      assert.deepEqual(payload.set.data, ['‹SECRETS.token›']);
      assert.equal(Buffer.from(payload.bytes.data).toString(), 'bytes ‹SECRETS.token›');
      assert.equal(Buffer.from(payload.array.data).toString(), '‹SECRETS.token›');
      assert.equal(payload.card.pin, '‹SECRETS.token›');
      assert.equal(payload.written.pin, '‹SECRETS.token›');
      assert.equal(payload.got, '‹SECRETS.token›');
      assert.equal(payload.cut, `${'x'.repeat(997)}‹SE...`);
      assert.equal(payload.json, '{"token":"‹SECRETS.token›"}');
      assert.match(payload.base64, /^dT..?‹SECRETS\.token›..?=*$/);
      assert.equal(payload.escape, '\nlong-text');
      const { data: failure } = payload.failure;
      assert.equal(failure.message, 'refused: ‹SECRETS.token›');
      assert.equal(failure.cause, '‹SECRETS.token›');
      assert.equal(failure.code, '‹SECRETS.token›');
      assert.match(failure.stack, /^Error: refused: ‹SECRETS\.token›\n/);
    });

    test('a message of every kind, and the cut', () => {
      const shown = debugged().filter(({ id }) => id === 'text').map(({ msg }) => msg);
      assert.equal(shown.length, 7);
      assert.equal(shown[0], `${'x'.repeat(997)}‹SE...`);
      assert.equal(Buffer.from(shown[1], 'hex').toString(), '‹SECRETS.token›');
      assert.match(shown[2], /"message":"‹SECRETS\.token›"/);
      assert.equal(shown[3], '["‹SECRETS.token›"]');
      assert.match(shown[4], /"data":\{"k":"‹SECRETS\.token›"\}/);
    });

    test('status, warnings and errors', () => {
      const status = (id) => sent().filter(({ topic }) => topic === `status/${id}`).map(({ data }) => data.text);
      assert.ok(status('show').includes('sent ‹SECRETS.token›'));
      assert.ok(status('text').some((text) => text === '‹SECRETS.long›...'), JSON.stringify(status('text')));
      const warned = debugged().filter(({ id, level }) => id === 'show' && level !== undefined);
      assert.ok(warned.length >= 5);
      for (const { msg } of warned) assert.match(msg, /‹SECRETS\.token›|reading 'none'/);
    });

    test('the console', async () => {
      await red.said(/Cannot read properties/);
      for (const line of [/\[warn\] \[function:show\] ‹SECRETS\.token›/, /\[error\] \[function:show\] without: ‹SECRETS\.token›/, /\[info\] \[function:show\] info: ‹SECRETS\.token›/,
        /console \{ token: '‹SECRETS\.token›' \}/, /Error: refused: ‹SECRETS\.token›\n +at/, /\[debug:all\] \n\{/]) assert.match(red.console, line);
    });

    test('and nothing of it anywhere', () => {
      const inspected = TOKEN.replaceAll('\\', '\\\\');
      for (const [where, text] of [['comms', editor.text()], ['console', red.console]]) {
        for (const form of [TOKEN, inspected, inspected.replaceAll('\\', '\\\\'), JSON.stringify(TOKEN).slice(1, -1), TOKEN.slice(0, 8), LONG.slice(0, 8), Buffer.from(TOKEN).toString('hex'), Buffer.from(TOKEN).toString('base64').slice(0, -4)]) {
          assert.equal(text.includes(form), false, `${where}: ${form.length} characters of a value`);
        }
      }
    });

    test('a value that was replaced a moment ago is still known, and the new one at once', async () => {
      volume.swap(values('the-new-value-4711'));
      await red.said(/Version 2 of the secrets/);
      const read = async () => (await red.request('/say?text=say-the-old-value-0815-and-the-new-value-4711')).text;
      assert.equal(await read(), 'the-new-value-4711');
      await red.until(() => debugged().some(({ msg }) => msg === 'say-‹SECRETS.moving›-and-‹SECRETS.moving›'), 'both in a warning');
    });
  });
}

test('installed from the palette while Node-RED runs, it guards nodes that were there before', async (t) => {
  const volume = KubeletVolume.create();
  t.after(() => volume.remove());
  volume.swap(values(OLD));
  const red = await NodeRed.start({ runtime: 5, plugin: 'none', mount: volume.path, flows });
  t.after(() => red.remove());
  const editor = await red.comms('reader');
  await red.install();
  await red.deploy(flows);
  assert.equal((await red.request('/show')).json.token, TOKEN);
  await red.until(() => editor.text().includes('status ‹SECRETS.token›'), 'the last of what is shown');
  await red.said(/\[error\] \[function:show\] without: ‹SECRETS\.token›/);
  assert.equal(editor.text().includes(TOKEN.slice(0, 8)) || red.console.includes(TOKEN.slice(0, 8)), false);
});
