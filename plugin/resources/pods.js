/**
 * How many of the other pods of this flow app have loaded the revision that this app should run on.
 * @param {any} status the operator's
 * @returns {{pods: number, loaded: number} | null} null where it is not known, or there are none
 */
export function otherPods(status) {
  const { pods, loaded } = status?.flowApp ?? {};
  if (!Number.isInteger(pods) || !Number.isInteger(loaded) || pods < 2) return null;
  const here = status.pod?.loaded !== null && status.pod?.loaded === status.revision ? 1 : 0;
  return { pods: pods - 1, loaded: Math.max(0, Math.min(loaded - here, pods - 1)) };
}
