'use strict';

// Values go through a real Node-RED whose flows show them in every way they can. Afterwards everything that it wrote, sent and answered is
// searched for them: they are nowhere but in the answer of the flow that was asked for them.
//
// Not searched for: a value that a flow writes to a file, or to a context store that does. That is the flow's doing, and cannot be told
// from its work. What it keeps in memory under a name of its own is shown to people as the name of the key.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { KubeletVolume, delivered } = require('../kubelet-volume');
const { CANARIES, FLOWS, JSON_VALUES, TEXT } = require('./canary');
const { NodeRed } = require('./harness');
const { FORMS, Scanner } = require('./scanner');

const scanner = new Scanner(CANARIES);

const SETTINGS = {
  contextStorage: { default: { module: 'memory' }, file: { module: 'localfilesystem', config: { flushInterval: 1 } } },
  logging: { console: { level: 'trace', metrics: true, audit: true } },
  diagnostics: { enabled: true, ui: true },
  runtimeState: { enabled: true, ui: true },
};
/** A log of one's own, as settings.js may have it: each entry, with all that is in it, into a file. */
const LOG_FILE = `const { appendFileSync } = require('node:fs');
const { inspect } = require('node:util');
settings.logging.file = { level: 'trace', metrics: true, audit: true, handler: () => (entry) => appendFileSync(__dirname + '/own.log', inspect(entry, { depth: null }) + '\\n' + String(entry.msg?.stack) + '\\n') };
`;
const KEYS = [...Object.keys(TEXT), ...Object.keys(JSON_VALUES)];

/** All that the admin API answers to a GET. */
function places() {
  const context = ['SECRETS', 'SECRETS_METADATA', 'harmless', 'mine', 'mine.list[0]', ...KEYS.map((key) => `SECRETS.${key}`), 'SECRETS.account.login[0].password', 'SECRETS%5B%22token%22%5D', 'SECRETS%5B%27pem%27%5D'];
  const stores = ['', '?store=default', '?store=file', '?keysOnly=true', '?store=file&keysOnly=true'];
  return [
    '/', '/settings', '/settings/user', '/flows', '/flows/state', '/flow/tab', '/flow/global', '/nodes', '/nodes/node-red', '/nodes/node-red/function',
    '/nodes/messages?lng=en-US', '/plugins', '/plugins/messages?lng=en-US', '/icons', '/diagnostics', '/theme', '/locales/editor?lng=en-US', '/auth/login',
    '/library/local/flows', '/library/local/functions', '/library/local/templates', '/credentials/function/show', '/debug/view/view.html', '/debug/view/debug-utils.js',
    ...['global', 'flow/tab', 'node/show', 'flow/global'].flatMap((scope) => stores.map((store) => `/context/${scope}${store}`)),
    ...context.flatMap((key) => stores.slice(0, 3).map((store) => `/context/global/${key}${store}`)),
    '/context/flow/tab/mine', '/context/flow/tab/mine.token', '/context/node/show/mine', '/context/node/show/mine[0]',
    ...context.map((key) => `/context/flow/global/${key}`), ...context.map((key) => `/Context/Global/${key}`), ...context.map((key) => `//context/global/${key}`),
  ];
}

/**
 * Everything that people get to see of it.
 * @param {NodeRed} red
 * @param {Map<string, {frames: string[]}>} editors by who signed in
 * @returns {Promise<Map<string, string>>}
 */
async function capture(red, editors) {
  const captured = new Map();
  for (const as of ['editor', 'reader', undefined]) {
    for (const place of places()) {
      const headers = place === '/flows' ? { 'Node-RED-API-Version': 'v2' } : {};
      const { status, text } = await red.request(place, { as, headers });
      captured.set(`GET ${place} as ${as}`, `${status} ${text}`);
    }
  }
  for (const [as, editor] of editors) captured.set(`comms as ${as}`, unpacked(editor.frames));
  return captured;
}

/** Frames as they were sent, and every JSON text in them once more as what it means, as the editor shows it. @param {string[]} frames */
function unpacked(frames) {
  const all = [];
  const unpack = (text) => {
    all.push(text);
    try {
      JSON.parse(text, (_key, value) => {
        if (typeof value === 'string') unpack(value);
        return value;
      });
    } catch {
      // a text
    }
  };
  frames.forEach(unpack);
  return all.join('\n');
}

const scanAll = (captured) => [...captured].flatMap(([where, text]) => scanner.scan(where, text));

describe('the scanner finds what is planted', () => {
  const planted = Object.entries(CANARIES).flatMap(([key, value]) => Object.entries(FORMS).map(([form, write]) => ({ key, form, text: write(value)[0], name: `${key.replace('.', '_')}_${form}` })));
  const inAnyPlace = Object.entries(CANARIES).flatMap(([key, value]) => Object.entries(FORMS).flatMap(([form, write]) => write(value).map((text) => ({ key, form, text }))));

  test('in every form, at the start, in the middle and cut behind a few characters', () => {
    for (const { key, form, text } of inAnyPlace) {
      for (const around of [text, `before ${text} after`, `x${text.slice(0, 64)}...`, Buffer.concat([Buffer.from([0, 0xff]), Buffer.from(text)])]) {
        assert.ok(scanner.scan('here', around).some((found) => found.key === key), `${form} of ${key}`);
      }
    }
    assert.deepEqual(scanner.scan('here', 'nothing at all, ‹SECRETS.token› and so on'), []);
  });

  // No plugin: the flow has the values from elsewhere, and everything shows them.
  for (const runtime of [4, 5]) {
    test(`in every place of an unguarded Node-RED ${runtime}: files, admin API, web socket, console`, async (t) => {
      const plant = `for (const { name, text } of ${JSON.stringify(planted)}) {
        const marked = '[' + name + '[' + text + ']' + name + ']';
        global.set(name, marked, 'file'); console.log(marked); console.error(marked); node.warn(marked); node.status(marked); node.send({ payload: { marked } });
      } return msg;`;
      const red = await NodeRed.start({ runtime, plugin: 'none', settings: { ...SETTINGS, debugMaxLength: 100_000 }, flows: [
        { id: 'tab', type: 'tab', label: 'plant' },
        { id: 'in', z: 'tab', x: 1, y: 1, type: 'http in', url: '/plant', method: 'get', wires: [['plant']] },
        { id: 'plant', z: 'tab', x: 1, y: 1, type: 'function', func: plant, outputs: 1, wires: [['out', 'debug']] },
        { id: 'debug', z: 'tab', x: 1, y: 1, type: 'debug', active: true, tosidebar: true, complete: 'payload', targetType: 'msg', wires: [] },
        { id: 'out', z: 'tab', x: 1, y: 1, type: 'http response', wires: [] },
      ] });
      t.after(() => red.remove());
      const editor = await red.comms('reader');
      // The flow's own text holds the values as well, so what is found in it proves nothing: only what stands between the marks counts.
      red.request('/plant').catch(() => {});
      const last = planted.at(-1)?.name;
      await red.until(() => editor.text().includes(`]${last}]`) && red.console.includes(`]${last}]`), 'the last plant');
      const api = new Map();
      for (const { name } of planted) api.set(name, (await red.request(`/context/global/${name}?store=file`, { as: 'reader' })).text);
      const comms = editor.frames.flatMap((frame) => JSON.parse(frame));
      await red.stop();
      const files = [...red.files()].filter(([file]) => file.includes('context')).map(([, content]) => content.toString()).join('\n');
      for (const { key, name, form } of planted) {
        const sees = (where, text) => assert.ok(scanner.scan(where, between(text, name)).some((found) => found.key === key), `${form} of ${key} in ${where}`);
        sees('files', files);
        sees('admin API', api.get(name));
        sees('console', red.console);
        for (const topic of ['debug', 'status/plant']) {
          sees(topic, comms.filter((message) => message.topic === topic).map((message) => JSON.stringify(message)).find((message) => message.includes(`[${name}[`)) ?? '');
        }
      }
    });
  }
});

/** What stands between a plant's marks, and nothing else. @param {string | undefined} text @param {string} name */
function between(text, name) {
  const start = `[${name}[`;
  const at = text?.indexOf(start) ?? -1;
  return at === -1 ? '' : text?.slice(at + start.length, text.indexOf(`]${name}]`, at)) ?? '';
}

for (const runtime of [4, 5]) {
  describe(`through a guarded Node-RED ${runtime}`, () => {
    /** @type {NodeRed} */ let red;
    /** @type {KubeletVolume} */ let volume;
    /** @type {Map<string, any>} */ let editors;
    let answer;

    before(async () => {
      volume = KubeletVolume.create();
      volume.swap(delivered({ text: TEXT, json: JSON_VALUES }));
      red = await NodeRed.start({ runtime, mount: volume.path, flows: FLOWS, settings: SETTINGS, settingsSource: LOG_FILE });
      editors = new Map([['editor', await red.comms('editor')], ['reader', await red.comms('reader')]]);
      answer = await red.request('/show');
      await red.request('/throw');
      await red.request('/inject/inject', { as: 'editor', method: 'POST' });
      await red.request('/inject/inject', { as: 'reader', method: 'POST' });
      await red.request('/library/local/functions/canary', { as: 'editor', method: 'POST', body: { text: 'return msg;', name: 'canary' } });
      await red.deploy([...FLOWS, { id: 'more', type: 'comment', z: 'tab', x: 1, y: 1, name: 'deployed', wires: [] }], 'nodes');
      await red.request('/show');
    });
    after(async () => {
      await red?.remove();
      volume?.remove();
    });

    test('the flow that asks gets them all', () => {
      assert.deepEqual(answer.json, { ...TEXT, ...JSON_VALUES });
      assert.ok(scanner.scan('answer', answer.text).length >= Object.keys(CANARIES).length);
    });

    test('nobody else does: admin API as editor, reader and nobody, web sockets, console', async () => {
      const captured = await capture(red, editors);
      captured.set('console', red.console);
      assert.match(captured.get('GET /context/global as reader'), /^200 .*"SECRETS"/, 'they are listed, masked');
      assert.match(captured.get('GET /context/global/SECRETS.token as editor'), /^200 /);
      assert.match(captured.get('GET /context/global as undefined'), /^401 /);
      assert.match(captured.get('GET /context/flow/tab/mine.token as editor'), /^200 .*‹SECRETS\.token›/);
      const kinds = new Set(editors.get('reader').frames.flatMap((frame) => JSON.parse(frame)).map(({ topic }) => topic?.split('/')[0]));
      assert.ok(kinds.has('debug') && kinds.has('status'), [...kinds].join());
      assert.ok(editors.get('reader').text().includes('‹SECRETS.account›'), 'they were shown, by name');
      for (const key of KEYS) assert.ok(red.console.includes(`‹SECRETS.${key}›`), `${key} was written to the console, by name`);
      assert.deepEqual(scanAll(captured), []);
    });

    test('nor does any file, after SIGTERM', async () => {
      await red.stop();
      const files = red.files();
      assert.ok([...files.keys()].some((name) => name.includes('context')), 'the context was written');
      assert.ok([...files.values()].some((content) => content.includes('"harmless"')), 'with what the flow wrote beside SECRETS');
      assert.ok(String(files.get('data/own.log')).includes('‹SECRETS.unicode›'), 'a log handler of settings.js wrote names');
      assert.deepEqual(scanAll(files), []);
    });

    test('nor does the last word of a process that an error ends', async () => {
      const from = red.console.length;
      await red.launch();
      red.request('/crash').catch(() => {});
      await red.ended;
      assert.match(red.console.slice(from), /nobody catches ‹SECRETS\.token›‹SECRETS\.escapes›/);
      assert.deepEqual(scanAll(new Map([['console', red.console], ...red.files()])), []);
    });
  });
}
