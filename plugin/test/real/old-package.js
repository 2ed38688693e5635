'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** What its node writes into SECRETS, again and again. */
const ITS = { TOKEN: 'of the old package' };

const NODE = `module.exports = (RED) => {
  function Old(definition) {
    RED.nodes.createNode(this, definition);
    let ticks = 0;
    const timer = setInterval(() => {
      this.context().global.set("SECRETS", ${JSON.stringify(ITS)});
      ticks += 1;
      if (ticks === 3) this.log("has written SECRETS 3 times");
    }, 20);
    this.on("close", () => clearInterval(timer));
  }
  RED.nodes.registerType("qibb-secret-manager", Old);
};`;

const BROKEN = 'module.exports = () => { throw new Error("out of order"); };';

const HTML = `<script type="text/html" data-template-name="qibb-secret-manager"><p>old</p></script>
<script>
  RED.nodes.registerType("qibb-secret-manager", { category: "function", defaults: { name: { value: "" } }, inputs: 0, outputs: 0, label: "old" });
</script>`;

/** How an old package may be called: sorting before and after ours. */
const NAMES = ['@qibb/node-red-contrib-secret-manager', 'node-red-contrib-qibb-secret-manager'];

/**
 * A package with a legacy node of its own, which serves SECRETS as the old one did.
 * @param {string} name
 * @param {{broken?: boolean}} [options] `broken`: fails when it is loaded
 * @returns {Record<string, string>} its files
 */
function oldPackage(name, { broken = false } = {}) {
  const about = { name, version: '1.0.0', 'node-red': { nodes: { 'secret-manager': 'node.js' } } };
  return { 'package.json': JSON.stringify(about), 'node.js': broken ? BROKEN : NODE, 'node.html': HTML };
}

/**
 * As `files` of a Node-RED that has it from the start.
 * @param {string} name
 * @param {Parameters<typeof oldPackage>[1]} [options]
 */
function installed(name, options) {
  return Object.fromEntries(Object.entries(oldPackage(name, options)).map(([file, content]) => [`node_modules/${name}/${file}`, content]));
}

/**
 * In a folder of its own, from which Node-RED may install it.
 * @param {string} name
 * @returns {string} the folder
 */
function unpacked(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'spacesync-old-'));
  for (const [file, content] of Object.entries(oldPackage(name))) fs.writeFileSync(path.join(folder, file), content);
  return folder;
}

module.exports = { ITS, NAMES, installed, unpacked };
