'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/**
 * A projected volume, filled the way the kubelet fills it: a new timestamped folder, `..data_tmp` renamed over
 * `..data`, links at the root, the old folder removed (kubernetes, pkg/volume/util/atomic_writer.go).
 */
class KubeletVolume {
  /** An empty mount in a folder of its own. */
  static create() {
    return new KubeletVolume(fs.mkdtempSync(path.join(os.tmpdir(), 'spacesync-volume-')));
  }

  /** @param {string} folder */
  constructor(folder) {
    this.path = folder;
    this.swaps = 0;
  }

  /**
   * Puts these files, and no others, into the mount. Nothing happens when they stand there already, as with the kubelet.
   * @param {Record<string, string | Buffer>} files by their path below the mount
   */
  swap(files) {
    if (this.#holds(files)) return;
    const old = this.target();
    const next = fs.mkdtempSync(path.join(this.path, `..${stamp()}.`));
    for (const [name, content] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(next, name)), { recursive: true });
      fs.writeFileSync(path.join(next, name), content);
    }
    fs.chmodSync(next, 0o755);
    fs.symlinkSync(path.basename(next), path.join(this.path, '..data_tmp'));
    fs.renameSync(path.join(this.path, '..data_tmp'), path.join(this.path, '..data'));
    this.#link(new Set(Object.keys(files).map((name) => name.split('/')[0])));
    if (old !== null) fs.rmSync(path.join(this.path, old), { recursive: true });
    this.swaps += 1;
  }

  /** What `..data` points at, or null before the first swap. */
  target() {
    try {
      return fs.readlinkSync(path.join(this.path, '..data'));
    } catch {
      return null;
    }
  }

  remove() {
    fs.rmSync(this.path, { recursive: true, force: true });
  }

  /** @param {Set<string>} names */
  #link(names) {
    for (const name of fs.readdirSync(this.path)) {
      if (!name.startsWith('..') && !names.has(name)) fs.unlinkSync(path.join(this.path, name));
    }
    for (const name of names) {
      const link = path.join(this.path, name);
      if (fs.lstatSync(link, { throwIfNoEntry: false }) === undefined) fs.symlinkSync(path.join('..data', name), link);
    }
  }

  /** @param {Record<string, string | Buffer>} files */
  #holds(files) {
    const target = this.target();
    if (target === null) return false;
    const root = path.join(this.path, target);
    const there = fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const names = Object.keys(files);
    return there.length === names.length && names.every((name) => {
      const file = path.join(root, name);
      return fs.existsSync(file) && fs.readFileSync(file).equals(Buffer.from(files[name]));
    });
  }
}

/**
 * The files of one delivered revision: what the operator's Secret holds, and below `.spacesync/` what the pod is told.
 * @param {{
 *   space?: string, version?: number, fingerprint?: string, createdAt?: string, updatedAt?: string, issuedAt?: string,
 *   text?: Record<string, string>, json?: Record<string, unknown>, rawJson?: Record<string, string>,
 *   told?: Record<string, string>,
 * }} of `json` is written as JSON.stringify does it, `rawJson` byte for byte; `told` by file name: token, url, …
 * @returns {Record<string, string>}
 */
function delivered(of) {
  const { space = 'newsroom-dev', version = 1, fingerprint = '0123456789abcdef' } = of;
  /** @type {Map<string, {format: 'text' | 'json', content: string}>} */
  const entries = new Map();
  for (const [name, content] of Object.entries(of.text ?? {})) entries.set(name, { format: 'text', content });
  for (const [name, value] of Object.entries(of.json ?? {})) entries.set(name, { format: 'json', content: JSON.stringify(value) });
  for (const [name, content] of Object.entries(of.rawJson ?? {})) entries.set(name, { format: 'json', content });
  const names = [...entries.keys()].sort();
  const meta = {
    space,
    version,
    revision: `${version}-${fingerprint}`,
    createdAt: of.createdAt ?? '2026-01-01T00:00:00Z',
    updatedAt: of.updatedAt ?? '2026-01-02T00:00:00Z',
    issuedAt: of.issuedAt ?? '2026-01-02T00:00:01Z',
    keys: names.map((name) => ({ name, format: entries.get(name)?.format })),
  };
  /** @type {Record<string, string>} */
  const files = Object.create(null);
  files['.spacesync.json'] = JSON.stringify(meta);
  for (const name of names) files[name] = /** @type {{content: string}} */ (entries.get(name)).content;
  for (const [name, content] of Object.entries({ revision: meta.revision, ...of.told })) files[`.spacesync/${name}`] = content;
  return files;
}

/** As the kubelet names its folders: `2006_01_02_15_04_05`. */
function stamp() {
  return new Date().toISOString().slice(0, 19).replace(/[-:T]/g, '_');
}

module.exports = { KubeletVolume, delivered };
