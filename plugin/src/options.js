'use strict';

const path = require('node:path');

/**
 * @typedef {{
 *   mountPath: string, waitMs: number, flowAppVersion: string | null, legacyNodeType: string
 * }} Options `flowAppVersion`: what the platform says, before any mounted file
 */

const DEFAULTS = Object.freeze({ mountPath: '/var/run/spacesync', waitMs: 5000, legacyNodeType: 'qibb-secret-manager' });

// While the plugin waits, the editor's port stays closed, and a liveness probe may be watching.
const MAX_WAIT_MS = 60_000;

/**
 * The plugin's settings: settings.js first, then the environment, then the defaults. What makes no sense is as if it
 * were not there.
 * @param {any} settings Node-RED's
 * @param {NodeJS.ProcessEnv} env
 * @returns {Options}
 */
function readOptions(settings, env) {
  const own = settings.secretManager ?? {};
  return {
    mountPath: first(isFolder, own.mountPath, env.SPACESYNC_MOUNT_PATH) ?? DEFAULTS.mountPath,
    waitMs: first(isWait, own.waitMs) ?? DEFAULTS.waitMs,
    flowAppVersion: first(isText, own.flowAppVersion, settings.flowAppVersion, env.FLOW_APP_VERSION),
    legacyNodeType: first(isText, own.legacyNodeType) ?? DEFAULTS.legacyNodeType,
  };
}

/**
 * @template T
 * @param {(value: any) => value is T} fits
 * @param {...unknown} candidates
 * @returns {T | null}
 */
function first(fits, ...candidates) {
  return /** @type {T | undefined} */ (candidates.find((value) => fits(value))) ?? null;
}

/** @type {(value: any) => value is string} */
const isText = (value) => typeof value === 'string' && value.trim() !== '';
/** @type {(value: any) => value is string} */
const isFolder = (value) => typeof value === 'string' && path.isAbsolute(value);
/** @type {(value: any) => value is number} */
const isWait = (value) => typeof value === 'number' && value >= 0 && value <= MAX_WAIT_MS;

module.exports = { readOptions };
