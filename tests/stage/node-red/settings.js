// The settings of the demo's Node-RED. Nothing in here is about secrets: the plugin needs no settings.
const fs = require("node:fs")

// The root file system is read-only, and a flow can be changed in the editor: so it lives in the pod's own folder.
const flows = "/data/flows.json"
if (!fs.existsSync(flows)) {
  fs.copyFileSync("/config/flows.json", flows)
}

// People of the demo: their password is their name.
const people = {
  editor: { username: "editor", permissions: "*" },
  viewer: { username: "viewer", permissions: "read" }
}

module.exports = {
  flowFile: "flows.json",
  credentialSecret: false,
  adminAuth: {
    type: "credentials",
    users: async (name) => people[name] ?? null,
    authenticate: async (name, password) => (password === name ? (people[name] ?? null) : null)
  },
  diagnostics: { enabled: true, ui: true },
  telemetry: { enabled: false, updateNotification: false },
  editorTheme: { tours: false, header: { title: "Spacesync demo" } }
}
