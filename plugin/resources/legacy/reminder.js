import { laterFrom, readLater } from './decision.js';

const SETTING = 'secretManagerLater';

/** Remembers for the signed-in user until when no advice is wanted. */
export class Reminder {
  #RED;

  /** @param {any} RED */
  constructor(RED) {
    this.#RED = RED;
  }

  get later() {
    const { settings } = this.#RED;
    if (this.#kept) return readLater(settings.get(SETTING));
    try {
      return readLater(JSON.parse(settings.getLocal(this.#place)));
    } catch {
      return null;
    }
  }

  /** @param {number} count of the nodes that the advice was about */
  putOff(count) {
    const later = laterFrom(count, Date.now());
    if (this.#kept) this.#RED.settings.set(SETTING, later);
    else this.#RED.settings.setLocal(this.#place, JSON.stringify(later));
  }

  /** Node-RED keeps settings for each user, in every browser; but not for those without this permission. */
  get #kept() {
    return this.#RED.user.hasPermission('settings.write');
  }

  get #place() {
    return `${SETTING}:${this.#RED.settings.user?.username ?? ''}`;
  }
}
