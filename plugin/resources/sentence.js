// The one sentence of the Status section, and what there is to say beside it.

/** @typedef {import('./text.js').Text} Text */
/** @typedef {import('./times.js').Times} Times */
/** @typedef {'good' | 'busy' | 'idle' | 'attention' | 'bad'} Tone `idle`: as somebody wants it, and yet not as usual */
/**
 * `tail` moves with the clock, and is not read aloud each time; `detail`: the operator's own words, in English.
 * @typedef {{text: string, tail?: string, detail?: string, tone: Tone}} Sentence
 */
/**
 * @typedef {{state: any, lost?: boolean, mayRead?: boolean}} Facts `state`: the body of `GET secret-manager/state`; `lost`: the
 *   runtime does not answer
 */

/**
 * Says how it stands. A chain of rules, the first that speaks decides: what flows read comes before what the operator knows.
 * @param {Facts} facts
 * @param {Text} text
 * @param {Times} times
 * @returns {Sentence}
 */
export function sentence(facts, text, times) {
  for (const rule of RULES) {
    const said = rule(facts, text, times);
    if (said !== null) return said;
  }
  const { snapshot } = facts.state;
  return { text: text.say('sidebar.status.current', { version: snapshot.version }), tail: loaded(snapshot, text, times), tone: 'good' };
}

/** @type {((facts: Facts, text: Text, times: Times) => Sentence | null)[]} */
const RULES = [notAllowed, runtimeLost, asking, legacyServes, notProtected, waiting, stale, operatorAway, operatorSilent, noSync, suspended, notSynced, behind, syncing, manual];

/** @type {typeof RULES[0]} */
function notAllowed({ mayRead }, text) {
  return mayRead === false ? { text: text.say('sidebar.status.not-allowed'), tone: 'idle' } : null;
}

/** @type {typeof RULES[0]} */
function runtimeLost({ lost }, text) {
  return lost ? { text: text.say('sidebar.status.lost'), tone: 'bad' } : null;
}

/** @type {typeof RULES[0]} */
function asking({ state }, text) {
  return state === null ? { text: text.say('sidebar.status.asking'), tone: 'busy' } : null;
}

/** @type {typeof RULES[0]} */
function legacyServes({ state }, text) {
  if (state.served !== false) return null;
  const version = state.flowAppVersion ?? '';
  // Where the type is ours and flows are not served, they hold none that runs.
  return state.legacy?.ours ? { text: text.say('sidebar.status.no-node', { version }), tone: 'attention' }
    : { text: text.say('sidebar.status.legacy', { version }), tone: 'idle' };
}

/** @type {typeof RULES[0]} */
function notProtected({ state }, text) {
  if (state.protection !== 'none') return null;
  const why = state.protectionReason;
  return { text: why ? text.say('sidebar.status.unprotected', { why }) : text.explain('ProtectionUnavailable'), tone: 'bad' };
}

/**
 * What the operator knows is nearer to the cause than what the mount lacks.
 * @type {typeof RULES[0]}
 */
function waiting({ state }, text) {
  const { snapshot, operator } = state;
  if (snapshot.version !== null && snapshot.version !== undefined) return null;
  const failed = blocking(operator?.status);
  const word = failed?.reason ?? snapshot.problem ?? null;
  if (word === null) return { text: text.say('sidebar.status.waiting'), tone: 'busy' };
  return { text: text.say('sidebar.status.nothing', { why: text.explain(word, failed?.message) }), detail: failed?.message, tone: 'attention' };
}

/** @type {typeof RULES[0]} */
function stale({ state }, text, times) {
  const { snapshot } = state;
  if (snapshot.state !== 'stale') return null;
  const why = text.explain(snapshot.problem ?? 'RuntimeError');
  return { text: text.say('sidebar.status.stale', { why, since: times.clock(snapshot.staleSince), version: snapshot.version }), tone: 'bad' };
}

/** @type {typeof RULES[0]} */
function operatorAway({ state }, text, times) {
  const { operator, snapshot } = state;
  if (operator?.reachable !== false) return null;
  return unchecked(operator.status?.lastChecked ?? operator.since, snapshot, text, times, operator.problem);
}

/** @type {typeof RULES[0]} */
function operatorSilent({ state }, text, times) {
  const { operator, snapshot } = state;
  if (operator?.status) return null;
  return { text: text.say('sidebar.status.version', { version: snapshot.version }), tail: loaded(snapshot, text, times), tone: 'good' };
}

/** @type {typeof RULES[0]} */
function noSync({ state }, text) {
  const { operator: { status }, snapshot } = state;
  if (status.sync !== null) return null;
  const ready = condition(status, 'Ready');
  const why = text.explain(ready?.reason ?? 'NoSync', ready?.message);
  return { text: text.say('sidebar.status.kept', { why, version: snapshot.version }), detail: ready?.message, tone: 'attention' };
}

/** @type {typeof RULES[0]} */
function suspended({ state }, text) {
  const { operator: { status }, snapshot } = state;
  return status.suspended ? { text: text.say('sidebar.status.suspended', { version: snapshot.version }), tone: 'idle' } : null;
}

/** @type {typeof RULES[0]} */
function notSynced({ state }, text, times) {
  const { operator: { status }, snapshot } = state;
  const synced = condition(status, 'Synced');
  if (synced?.status !== 'False') return null;
  return unchecked(status.lastChecked ?? synced.since, snapshot, text, times, synced.reason, synced.message);
}

/** @type {typeof RULES[0]} */
function behind({ state }, text) {
  const { operator: { status }, snapshot } = state;
  if (!status.revision || status.revision === snapshot.revision) return null;
  return { text: text.say('sidebar.status.behind', { next: status.version, version: snapshot.version }), tone: 'busy' };
}

/** @type {typeof RULES[0]} */
function syncing({ state }, text) {
  const { operator: { status }, snapshot } = state;
  return status.syncing ? { text: text.say('sidebar.status.syncing', { version: snapshot.version }), tone: 'busy' } : null;
}

/** @type {typeof RULES[0]} */
function manual({ state }, text, times) {
  const { operator: { status }, snapshot } = state;
  if (status.autoSync?.value !== 'Manual') return null;
  return { text: text.say('sidebar.status.manual', { version: snapshot.version }), tail: loaded(snapshot, text, times), tone: 'good' };
}

/**
 * @param {string | null} since
 * @param {any} snapshot
 * @param {Text} text
 * @param {Times} times
 * @param {string | null} word
 * @param {string} [message]
 * @returns {Sentence}
 */
function unchecked(since, snapshot, text, times, word, message) {
  const { version } = snapshot;
  const said = since ? text.say('sidebar.status.unchecked', { since: times.clock(since), version })
    : text.say('sidebar.status.never-checked', { version });
  return { text: word ? `${said}. ${text.explain(word, message)}` : said, detail: message, tone: 'attention' };
}

/**
 * What goes on beside it.
 * @param {Facts} facts
 * @param {Text} text
 * @returns {string[]}
 */
export function notes({ state }, text) {
  const keys = condition(state?.operator?.status ?? {}, 'KeysComplete');
  return [
    ...(state?.saves?.pending ? [text.say('sidebar.status.save-pending')] : []),
    ...(keys?.status === 'False' ? [text.explain(keys.reason)] : []),
  ];
}

/** @param {any} snapshot @param {Text} text @param {Times} times */
function loaded({ loadedAt }, text, times) {
  return loadedAt ? text.say('sidebar.status.loaded', { ago: times.ago(loadedAt) }) : undefined;
}

/** The condition that keeps the first secrets from coming. @param {any} status the operator's */
function blocking(status) {
  if (!status) return undefined;
  return ['Synced', 'Ready'].map((type) => condition(status, type)).find((one) => one?.status === 'False' && one.reason !== 'Pending')
    ?? (status.sync === null ? { reason: 'NoSync' } : undefined);
}

/** @param {any} status @param {string} type */
function condition(status, type) {
  return status.conditions?.find((/** @type {any} */ one) => one.type === type);
}
