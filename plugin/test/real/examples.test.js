'use strict';

// The examples of the package, as a user imports them, do what they say.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { KubeletVolume, delivered } = require('../kubelet-volume');
const { NodeRed } = require('./harness');

const FOLDER = path.join(__dirname, '..', '..', 'examples');
const TOKEN = 'the token that the examples read';
const flows = fs.readdirSync(FOLDER).sort().flatMap((name) => JSON.parse(fs.readFileSync(path.join(FOLDER, name), 'utf8')));

for (const runtime of /** @type {const} */ ([4, 5])) {
  describe(`Node-RED ${runtime}`, { concurrency: false }, () => {
    /** @type {KubeletVolume} */
    let mount;
    /** @type {ReturnType<typeof delivered>} */
    let secrets;
    /** @type {NodeRed} */
    let red;
    /** An API that wants the token. @type {http.Server} */
    let api;
    /** @type {string[]} */
    const authorized = [];

    before(async () => {
      api = http.createServer((request, response) => {
        authorized.push(request.headers.authorization ?? '');
        response.setHeader('content-type', 'application/json').end('{"hello": "flow"}');
      });
      await once(api.listen(0, '127.0.0.1'), 'listening');
      const { port } = /** @type {import('node:net').AddressInfo} */ (api.address());
      mount = KubeletVolume.create();
      secrets = delivered({ version: 7, text: { my_api_token: TOKEN, my_api_url: `http://127.0.0.1:${port}/hello` } });
      mount.swap(secrets);
      red = await NodeRed.start({ runtime, flows, mount: mount.path });
    });
    after(async () => {
      await red.remove();
      mount.remove();
      api.close();
    });

    test('they are in the library of the editor', async () => {
      const { json } = await red.request('/library/examples/flows/@spacesync/node-red-secret-manager', { as: 'editor' });
      const told = JSON.stringify(json);
      for (const name of fs.readdirSync(FOLDER)) assert.ok(told.includes(path.parse(name).name), told);
    });

    test('every way of reading ends in the debug sidebar with the name of the key', async () => {
      const comms = await red.comms('editor');
      await red.request('/inject/ss1-go', { as: 'editor', method: 'POST' });
      const shown = () => comms.text().split('‹SECRETS.my_api_token›').length - 1;
      await red.until(() => shown() >= 4, 'four debug messages');
      assert.ok(!comms.text().includes(TOKEN));
    });

    test('an API is called with the token in a header, at a URL that is a secret too', async () => {
      const called = once(api, 'request');
      await red.request('/inject/ss2-go', { as: 'editor', method: 'POST' });
      await called;
      assert.deepEqual(authorized, [`Bearer ${TOKEN}`]);
    });

    test('a monitor is told the version', async () => {
      const { json } = await red.request('/secrets/version');
      assert.equal(json.version, 7);
      assert.deepEqual(Object.keys(json), ['version', 'updatedAt', 'issuedAt']);
    });

    test('an old Flow App has its node, a new one needs none', async () => {
      const served = async () => {
        const { json: { served: serves, legacy: { ours, needed } } } = await red.request('/secret-manager/state', { as: 'editor' });
        return { serves, ours, needed };
      };
      assert.deepEqual(await served(), { serves: true, ours: true, needed: false });
      const comms = await red.comms('editor');
      mount.swap({ ...secrets, '.spacesync/flow-app-version': '5.2.9' });
      await red.until(() => comms.text().includes('"needed":true'), 'word that the node is needed');
      assert.deepEqual(await served(), { serves: true, ours: true, needed: true });
    });
  });
}
