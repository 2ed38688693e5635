'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const https = require('node:https');
const { after, before, test } = require('node:test');

const { Client } = require('../../src/client');
const { KubeletVolume } = require('../kubelet-volume');
const { authority } = require('../operator');

/** @type {{key: Buffer, cert: Buffer}[]} */
let authorities;
/** @type {https.Server} */
let server;
let url = '';
/** What the server answers next, and what it was asked. @type {(request: any, response: any) => void} */
let answer;
/** @type {{method?: string, url?: string, headers: any, body: string, socket: any}[]} */
let asked;

before(async () => {
  authorities = [authority(), authority()];
  server = https.createServer(authorities[0], async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    asked.push({ method: request.method, url: request.url, headers: request.headers, body, socket: request.socket });
    answer(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `https://127.0.0.1:${/** @type {any} */ (server.address()).port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

/**
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string | Buffer>} [told] beside or in place of what is right
 */
function calling(t, told = {}) {
  const at = KubeletVolume.create();
  t.after(() => at.remove());
  const tell = (/** @type {Record<string, string | Buffer>} */ files) => at.swap(Object.fromEntries(
    Object.entries({ url, token: 'token-1', 'ca.crt': authorities[0].cert, ...files }).map(([name, content]) => [`.spacesync/${name}`, content]),
  ));
  tell(told);
  asked = [];
  answer = (_, response) => response.writeHead(204).end();
  return { client: new Client(at.path), tell };
}

test('a call says who asks, and what, over TLS', async (t) => {
  const { client } = calling(t, { url: `${url}/\n`, token: 'token-1\n' });
  const got = await client.call('POST', '/v1/acks', { body: { revision: '1-ä' } });
  assert.deepEqual(got, { status: 204, body: null, etag: null, retryAfterMs: null });
  const [{ method, url: path, headers, body, socket }] = asked;
  assert.deepEqual([method, path, headers.authorization, headers['content-type'], body], ['POST', '/v1/acks', 'Bearer token-1', 'application/json', '{"revision":"1-ä"}']);
  assert.equal(socket.encrypted, true);
});

test('JSON is read, also a problem, whatever the status; anything else is nothing', async (t) => {
  const { client } = calling(t);
  /** @type {[number, string, string, any][]} */
  const table = [
    [200, 'application/json; charset=utf-8', '{"a":1}', { a: 1 }],
    [409, 'application/problem+json', '{"reason":"NoSync"}', { reason: 'NoSync' }],
    [500, 'text/html', '<h1>no</h1>', null],
    [200, 'application/json', '{"a":', null],
    [200, 'application/jsonp', '{}', null],
  ];
  for (const [status, type, body, expected] of table) {
    answer = (_, response) => response.writeHead(status, { 'content-type': type }).end(body);
    const got = await client.call('GET', '/v1/status');
    assert.deepEqual([got.status, got.body], [status, expected], body);
  }
});

test('Retry-After is understood in seconds and as a date, within reason', async (t) => {
  const { client } = calling(t);
  const after = async (/** @type {string} */ header) => {
    answer = (_, response) => response.writeHead(429, { 'retry-after': header }).end();
    return (await client.call('GET', '/v1/status')).retryAfterMs ?? NaN;
  };
  assert.equal(await after('7'), 7000);
  assert.equal(await after('99999999'), 600_000);
  assert.equal(await after('soon'), NaN);
  assert.equal(await after(new Date(0).toUTCString()), 0);
  assert.ok(Math.abs(await after(new Date(Date.now() + 60_000).toUTCString()) - 60_000) < 5000);
});

test('token, address and authority are read anew for each call', async (t) => {
  const { client, tell } = calling(t);
  await client.call('GET', '/v1/status');
  tell({ token: 'token-2', url: `${url}/base/` });
  await client.call('GET', '/v1/status');
  assert.deepEqual(asked.map((call) => [call.url, call.headers.authorization]), [['/v1/status', 'Bearer token-1'], ['/base/v1/status', 'Bearer token-2']]);
  assert.notEqual(asked[0].socket, asked[1].socket);
  tell({ 'ca.crt': authorities[1].cert });
  await assert.rejects(client.call('GET', '/v1/status'), { word: 'Unreachable' });
  tell({ 'ca.crt': Buffer.concat([authorities[1].cert, authorities[0].cert]) });
  assert.equal((await client.call('GET', '/v1/status')).status, 204, 'of several certificates one is enough: a renewal overlaps');
});

test('a server of another authority is told nothing, whatever the environment says', async (t) => {
  const { client } = calling(t, { 'ca.crt': authorities[1].cert });
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  await assert.rejects(client.call('GET', '/v1/status'), { word: 'Unreachable' });
  assert.deepEqual(asked, []);
});

test('only https, and nothing in the address but an address', async (t) => {
  for (const wrong of [url.replace('https', 'http'), 'nowhere', 'https://', url.replace('//', '//me:secret@'), `${url}?a`, `${url}#a`, 'file:///etc/passwd']) {
    const { client } = calling(t, { url: wrong });
    await assert.rejects(client.call('GET', '/v1/status'), { word: 'BadAddress' }, wrong);
  }
});

test('before it is told whom to call it calls nobody', async (t) => {
  for (const name of ['url', 'token', 'ca.crt']) {
    const { client } = calling(t, { [name]: '' });
    await assert.rejects(client.call('GET', '/v1/status'), { word: 'NotTold' }, name);
  }
  assert.deepEqual(asked, []);
});

test('a redirect is not followed: the token would go along', async (t) => {
  const { client } = calling(t);
  answer = (_, response) => response.writeHead(307, { location: `${url}/elsewhere` }).end();
  assert.equal((await client.call('POST', '/v1/acks', { body: {} })).status, 307);
  assert.equal(asked.length, 1);
});

test('an answer that does not come, comes half or does not end is not waited for', async (t) => {
  const { client } = calling(t);
  const slow = [() => {}, (_, response) => response.writeHead(200).write('{'), (_, response) => response.writeHead(200, { 'content-length': 9 }).write('{')];
  for (const one of slow) {
    answer = one;
    await assert.rejects(client.call('GET', '/v1/status', { deadlineMs: 100 }), { word: 'TimedOut' });
  }
  answer = (request) => request.socket.destroy();
  await assert.rejects(client.call('GET', '/v1/status'), { word: 'Unreachable' });
  answer = (request, response) => {
    response.writeHead(200, { 'content-length': 9 });
    response.write('{', () => request.socket.destroy());
  };
  await assert.rejects(client.call('GET', '/v1/status'), { word: 'Unreachable' });
});

test('an answer that is too large is not kept', async (t) => {
  const { client } = calling(t);
  answer = (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify('x'.repeat(64 * 1024)));
  await assert.rejects(client.call('GET', '/v1/status'), { word: 'AnswerTooLarge' });
});

test('nobody there, and a token or certificate that cannot be sent, are failures like others and quote nothing', async (t) => {
  for (const told of [{ url: 'https://127.0.0.1:1' }, { token: 'hunter2\u0000hunter2' }, { 'ca.crt': 'hunter2' }]) {
    const { client } = calling(t, told);
    await assert.rejects(client.call('GET', '/v1/status'), (/** @type {any} */ error) => error.word === 'Unreachable' && !/hunter2/.test(error.stack));
  }
});
