'use strict';

const { ofAnswer, ofNoAnswer } = require('./refusal');

/** @typedef {any} Request */
/** @typedef {any} Response */
/**
 * What stands behind the endpoints.
 * @typedef {{
 *   state: () => object, keys: () => import('./key-list').KeyListBody, sync: () => Promise<import('./sync-now').Outcome>,
 *   settings: (body: object) => Promise<import('../client').Answer>, visited: () => void, log: import('../log').Log,
 * }} Behind
 */

/** Which settings are the editor's to change. */
const SETTINGS = ['autoSync', 'syncOnSave'];

/**
 * The admin endpoints, `secret-manager/…`. Who may use them is for Node-RED to say, request by request.
 * @param {any} RED
 * @param {Behind} behind
 * @returns {{close(): void}}
 */
function serve(RED, behind) {
  let open = true;
  /**
   * Express has no way to take a route back: one that is closed lets the request through to whoever comes next.
   * @param {'get' | 'post' | 'patch'} method
   * @param {string} path
   * @param {'read' | 'write'} permission
   * @param {(request: Request, response: Response) => unknown} handler
   */
  const on = (method, path, permission, handler) => {
    const isOpen = (/** @type {Request} */ _, /** @type {Response} */ response, /** @type {(to?: string) => void} */ next) => next(open ? undefined : 'route');
    const answer = async (/** @type {Request} */ request, /** @type {Response} */ response) => {
      if (permission === 'write') RED.log.audit({ event: `secret-manager.${path}` }, request);
      try {
        await handler(request, response.set('cache-control', 'no-cache'));
      } catch (error) {
        problem(response, ofNoAnswer(error, behind.log));
      }
    };
    RED.httpAdmin[method](`/secret-manager/${path}`, isOpen, RED.auth.needsPermission(`secret-manager.${permission}`), answer);
  };

  on('get', 'state', 'read', (_, response) => {
    behind.visited();
    response.json(behind.state());
  });

  on('get', 'keys', 'read', (request, response) => {
    behind.visited();
    const keys = behind.keys();
    if (keys.revision === null) return response.json(keys);
    const etag = `"${keys.revision}"`;
    response.set('etag', etag);
    // Not by Express: a browser's fetch adds a `no-cache` to If-None-Match, which Express takes for a wish to have it all again.
    const known = String(request.get('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
    return known.includes(etag) ? response.status(304).end() : response.json(keys);
  });

  on('post', 'sync', 'write', async (_, response) => {
    const end = await behind.sync();
    if (end.outcome !== 'error') return response.json(end);
    const { status, ...body } = end;
    return response.status(status).json(body);
  });

  on('patch', 'settings', 'write', async ({ body }, response) => {
    const changes = SETTINGS.filter((name) => Object.hasOwn(body ?? {}, name)).map((name) => [name, body[name]]);
    const answer = await behind.settings(Object.fromEntries(changes));
    if (answer.status === 200) return response.json(answer.body);
    const { type, title, owner, field } = answer.body ?? {};
    return problem(response, ofAnswer(answer, behind.log), { type, title, owner, field });
  });

  return { close: () => { open = false; } };
}

/**
 * @param {Response} response
 * @param {import('./refusal').Refusal} refusal
 * @param {object} [more]
 */
function problem(response, { status, reason, message }, more = {}) {
  response.status(status).type('application/problem+json').send(JSON.stringify({ status, reason, detail: message, ...more }));
}

module.exports = { serve };
