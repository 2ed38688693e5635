// Times as people read them: of today by the clock, else with the day; and how long ago.

const UNITS = /** @type {const} */ ([['seconds', 1000], ['minutes', 60_000], ['hours', 3_600_000], ['days', 86_400_000]]);

/** Says when something was, seen from one moment. */
export class Times {
  #text;
  #now;
  #timeZone;

  /**
   * @param {import('./text.js').Text} text
   * @param {Date} [now]
   * @param {string} [timeZone] the browser's
   */
  constructor(text, now = new Date(), timeZone = undefined) {
    this.#text = text;
    this.#now = now;
    this.#timeZone = timeZone;
  }

  /** `14:02`, or `24 Nov, 14:02`. @param {string} iso */
  clock(iso) {
    return this.#format(iso, { hour: '2-digit', minute: '2-digit' });
  }

  /** `14:03:22`, or `24 Nov, 14:03:22`. @param {string} iso */
  exact(iso) {
    return this.#format(iso, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  }

  /** `2 s ago`. The clocks of browser and server differ a little, so nothing is in the future. @param {string} iso */
  ago(iso) {
    const ms = Math.max(0, this.#now.getTime() - Date.parse(iso));
    const [unit, length] = UNITS.findLast(([, least]) => ms >= least) ?? UNITS[0];
    return this.#text.say(`sidebar.ago.${unit}`, { count: Math.floor(ms / length) });
  }

  /** How long ago, as long as that says when it was. @param {string} iso */
  when(iso) {
    return this.#now.getTime() - Date.parse(iso) < 3_600_000 ? this.ago(iso) : this.clock(iso);
  }

  /**
   * @param {string} iso
   * @param {Intl.DateTimeFormatOptions} shape
   */
  #format(iso, shape) {
    const day = (/** @type {Date} */ date) => date.toLocaleDateString('en-CA', { timeZone: this.#timeZone });
    const date = new Date(iso);
    const dated = day(date) === day(this.#now) ? {} : /** @type {const} */ ({ day: 'numeric', month: 'short' });
    return date.toLocaleString(this.#text.language, { ...dated, ...shape, hourCycle: 'h23', timeZone: this.#timeZone });
  }
}
