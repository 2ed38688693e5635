// What the editor asks of the runtime, as the signed-in user.

const PATIENCE_MS = 60_000;

/** @typedef {{status: number, body: any, tag: string | null}} Answer `status` 0: there was none */

/** Calls the admin endpoints of the plugin. jQuery, since the editor gives it the token and the address. */
export class Api {
  #jQuery;

  /** @param {any} jQuery the editor's */
  constructor(jQuery) {
    this.#jQuery = jQuery;
  }

  state() { return this.#call('GET', 'state'); }
  /** @param {string | null} tag of the answer that is known */
  keys(tag) { return this.#call('GET', 'keys', undefined, tag === null ? {} : { 'If-None-Match': tag }); }
  sync() { return this.#call('POST', 'sync', {}); }
  /** @param {{autoSync?: string, syncOnSave?: boolean}} settings */
  settings(settings) { return this.#call('PATCH', 'settings', settings); }

  /**
   * @param {string} method
   * @param {string} place
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>} whatever the status
   */
  #call(method, place, body, headers = {}) {
    return new Promise((resolve) => {
      this.#jQuery.ajax({
        url: `secret-manager/${place}`,
        method,
        headers: { Accept: 'application/json', ...headers },
        timeout: PATIENCE_MS,
        ...(body !== undefined && { data: JSON.stringify(body), contentType: 'application/json' }),
        complete: (/** @type {any} */ request) => resolve({
          status: request.status, body: json(request.responseText), tag: request.getResponseHeader('ETag'),
        }),
      });
    });
  }
}

/** @param {string | undefined} text */
function json(text) {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return null;
  }
}
