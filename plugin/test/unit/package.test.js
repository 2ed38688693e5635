'use strict';

// What the registry, the catalogue of Node-RED and its scorecard look for.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const ROOT = path.join(__dirname, '..', '..');
const packed = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

test('the pictures of the page are to be seen wherever it is read, and are not carried into each flow app', () => {
  const page = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const pictures = [...page.matchAll(/!\[[^\]]+\]\(([^)]+)\)|<img [^>]*src="([^"]+)"/g)].map((match) => match[1] ?? match[2]);
  assert.ok(pictures.length > 0);
  // npm shows a page without the repository around it; the catalogue of Node-RED too.
  const raw = packed.repository.url.replace(/^git\+https:\/\/github\.com\/(.*)\.git$/, `https://raw.githubusercontent.com/$1/main/${packed.repository.directory}/`);
  for (const picture of pictures) {
    assert.ok(picture.startsWith(raw), picture);
    const file = picture.slice(raw.length);
    assert.ok(fs.existsSync(path.join(ROOT, file)), file);
    assert.ok(!packed.files.some((/** @type {string} */ one) => file.startsWith(one)), file);
  }
});

test('the scorecard of Node-RED', () => {
  assert.ok(packed.name.startsWith('@') && packed.keywords.includes('node-red'));
  assert.ok(packed.license && packed.repository.url && packed.bugs.url);
  assert.ok(packed.engines.node && packed['node-red'].version);
  assert.equal(Object.keys(packed.dependencies ?? {}).length, 0);
  const used = fs.readdirSync(path.join(ROOT, 'examples')).flatMap((file) =>
    JSON.parse(fs.readFileSync(path.join(ROOT, 'examples', file), 'utf8')).map((/** @type {any} */ { type }) => type));
  for (const type of ['function', 'change', 'http request', 'qibb-secret-manager']) assert.ok(used.includes(type), type);
});
