//! What one does with an OpenBao, as its root, however it was started.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::Agent;

use crate::claim::random;
use crate::{audit, http};

/// A client with root rights. KV version 2 is mounted at `secret`; paths given here are below it.
#[derive(Debug, Clone)]
pub struct BaoClient {
    at: BaoAddress,
    agent: Agent,
}

/// All that is needed to reach and unseal an OpenBao.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BaoAddress {
    pub(crate) url: String,
    pub(crate) dir: PathBuf,
    pub(crate) ca_pem: Option<String>,
    pub(crate) root_token: String,
    pub(crate) unseal_key: String,
}

impl BaoClient {
    pub(crate) fn new(at: BaoAddress) -> Result<Self> {
        let agent = http::client(at.ca_pem.as_deref())?;
        Ok(Self { at, agent })
    }

    pub(crate) fn address(&self) -> &BaoAddress {
        &self.at
    }

    pub(crate) fn address_mut(&mut self) -> &mut BaoAddress {
        &mut self.at
    }

    /// `http://127.0.0.1:PORT`, or `https` with TLS.
    pub fn url(&self) -> &str {
        &self.at.url
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.at.root_token
    }

    /// The certificate authority to trust, with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.at.ca_pem.as_deref()
    }

    /// The file with the same, with TLS.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.at.ca_pem.as_ref().map(|_| self.at.dir.join("ca.crt"))
    }

    /// The audit log: two JSON lines a request, of the types `request` and `response`; values are hashed.
    pub fn audit_log(&self) -> PathBuf {
        self.at.dir.join("audit.log")
    }

    /// The audit log's entries so far.
    pub fn audit_entries(&self) -> Result<Vec<Value>> {
        audit::entries(&self.audit_log())
    }

    /// `(operation, path)` of each request so far, refused ones too: `("read", "secret/data/spaces/a")`. What this
    /// client itself asks is among them.
    pub fn requests(&self) -> Result<Vec<(String, String)>> {
        let text = |entry: &Value, key: &str| entry["request"][key].as_str().unwrap_or_default().to_owned();
        let entries = self.audit_entries()?;
        // A request with a bad token has no entry of type `request`, so the responses are what is complete.
        let responses = entries.iter().filter(|entry| entry["type"] == "response");
        Ok(responses.map(|entry| (text(entry, "operation"), text(entry, "path"))).collect())
    }

    /// Writes a new version of an entry; returns its number.
    #[allow(clippy::needless_pass_by_value, reason = "one writes put(path, json!({...}))")]
    pub fn put(&self, path: &str, data: Value) -> Result<u64> {
        self.put_raw(path, &data.to_string())
    }

    /// The same, with the data as JSON text that is sent byte for byte.
    pub fn put_raw(&self, path: &str, data: &str) -> Result<u64> {
        let answer = self.request("POST", &format!("secret/data/{path}"), Some(&format!("{{\"data\":{data}}}")))?;
        answer["data"]["version"].as_u64().context("the answer has no version")
    }

    /// Soft-deletes the newest version.
    pub fn delete(&self, path: &str) -> Result<()> {
        self.request("DELETE", &format!("secret/data/{path}"), None).map(drop)
    }

    /// Undoes the soft deletion of some versions.
    pub fn undelete(&self, path: &str, versions: &[u64]) -> Result<()> {
        self.versions("undelete", path, versions)
    }

    /// Destroys the data of some versions for good.
    pub fn destroy(&self, path: &str, versions: &[u64]) -> Result<()> {
        self.versions("destroy", path, versions)
    }

    /// Removes an entry with all its versions; what is written next is version 1.
    pub fn delete_metadata(&self, path: &str) -> Result<()> {
        self.request("DELETE", &format!("secret/metadata/{path}"), None).map(drop)
    }

    fn versions(&self, action: &str, path: &str, versions: &[u64]) -> Result<()> {
        self.request("POST", &format!("secret/{action}/{path}"), Some(&json!({"versions": versions}).to_string()))
            .map(drop)
    }

    /// A token, valid for a day, that may do what the policy (HCL) says, and no more.
    pub fn token_with_policy(&self, policy_hcl: &str) -> Result<String> {
        let name = format!("policy-{:x}", random());
        self.request("PUT", &format!("sys/policies/acl/{name}"), Some(&json!({"policy": policy_hcl}).to_string()))?;
        let wanted = json!({"policies": [name], "no_default_policy": true, "no_parent": true, "ttl": "24h"});
        let answer = self.request("POST", "auth/token/create", Some(&wanted.to_string()))?;
        Ok(answer["auth"]["client_token"].as_str().context("the answer has no token")?.to_owned())
    }

    /// Revokes a token.
    pub fn revoke(&self, token: &str) -> Result<()> {
        self.request("POST", "auth/token/revoke", Some(&json!({"token": token}).to_string())).map(drop)
    }

    /// Seals it: it answers 503 to everything until it is unsealed.
    pub fn seal(&self) -> Result<()> {
        self.request("PUT", "sys/seal", None).map(drop)
    }

    /// Unseals it.
    pub fn unseal(&self) -> Result<()> {
        self.request("PUT", "sys/unseal", Some(&json!({"key": self.at.unseal_key}).to_string())).map(drop)
    }

    /// Any request as root: the parsed answer (`null` where it has none), or an error with status and answer. `LIST` is
    /// a method too.
    pub fn request(&self, method: &str, path: &str, body: Option<&str>) -> Result<Value> {
        // ureq knows the methods of HTTP only; OpenBao takes this for a LIST.
        let (method, query) = if method == "LIST" { ("GET", "?list=true") } else { (method, "") };
        let url = format!("{}/v1/{path}{query}", self.at.url);
        let (status, text) = http::send(&self.agent, method, &url, ("x-vault-token", &self.at.root_token), body)?;
        match status {
            200..300 if text.is_empty() => Ok(Value::Null),
            200..300 => serde_json::from_str(&text).context("the answer is no JSON"),
            _ => bail!("{method} {path}: {status} {}", text.trim()),
        }
    }

    /// Whether it is up, unsealed and active.
    pub(crate) fn answers(&self) -> bool {
        self.request("GET", "sys/health", None).is_ok()
    }
}
