'use strict';

// node test/run.js FOLDER...: runs the tests below the folders on the Node.js of the machine. (Only later versions of
// `node --test` take patterns, and only earlier ones folders.)

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { installedNode } = require('./installed-node');

const files = process.argv.slice(2).flatMap((folder) => fs.readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => path.join(folder, name)));
const { status } = spawnSync(installedNode(), ['--test', '--test-reporter=spec', ...files], { stdio: 'inherit' });
process.exitCode = status ?? 1;
