'use strict';

/** From this version on the plugin serves secrets to flows, its pre-releases included. */
const FIRST_WITH_PLUGIN = [5, 3, 0];

/**
 * Whether the plugin serves secrets in a Flow App of this version. Below, only the legacy node does.
 *
 * One that was not told, or that nobody could read as a version, counts as new enough: the plugin comes with such Flow
 * Apps.
 * @param {string | null} version `5.3.0`, `v5.3.0`, `5.3.0-rc.1`
 */
function servesSecrets(version) {
  const parts = parse(version ?? '');
  if (parts === null) return true;
  for (const [at, first] of FIRST_WITH_PLUGIN.entries()) {
    if (parts[at] !== first) return parts[at] > first;
  }
  return true;
}

/**
 * Major, minor and patch. What is left out counts as zero; pre-release and build are dropped.
 * @param {string} version
 * @returns {number[] | null}
 */
function parse(version) {
  const match = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-+][0-9A-Za-z.+-]*)?$/.exec(version.trim());
  return match === null ? null : match.slice(1, 4).map((part) => Number(part ?? 0));
}

module.exports = { servesSecrets };
