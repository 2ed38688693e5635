//! What was asked of a server, read from its audit log: how tests count requests.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// How much of each request the API server writes to its audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditLevel {
    /// Who asked for what, and what came of it.
    #[default]
    Metadata,
    /// The bodies too, of all kinds, Secrets among them: for tests that look for a value where it must not be.
    RequestResponse,
}

impl AuditLevel {
    /// The policy file. The stage `RequestReceived` is left out, so a request is one entry (a watch is two: its start and
    /// its end). Nobody's probes are in it.
    pub(crate) fn policy(self) -> String {
        let probes = json!({"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]});
        let rules = [probes, json!({"level": format!("{self:?}")})];
        json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules})
            .to_string()
    }
}

/// The entries of an audit log, in order. A last line that is still being written is left out.
pub fn entries(log: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).context("a line of the audit log is no JSON")).collect()
}
