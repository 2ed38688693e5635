//! deploy/samples/, applied as it stands but for what differs on this machine: the image of the flow app and the address
//! of the vault.

use anyhow::{Context, Result};
use devcluster::Cluster;
use serde_json::Value as Json;

use crate::stage::{self, node_red};

/// The objects of deploy/samples/.
pub struct Samples(Vec<Json>);

impl Samples {
    /// Reads them.
    pub fn read(cluster: &Cluster, vault: &str) -> Result<Self> {
        let yaml = cluster.kubectl(&["kustomize", &stage::root().join("deploy/samples").to_string_lossy()])?;
        let mut objects: Vec<Json> = serde_saphyr::from_multiple(&yaml).context("deploy/samples cannot be read")?;
        for object in &mut objects {
            match kind(object) {
                "Deployment" => node_red::configure(object),
                "SecretManager" if !object["spec"]["openBao"].is_null() => {
                    object["spec"]["openBao"]["address"] = vault.into();
                }
                _ => {}
            }
        }
        Ok(Self(objects))
    }

    /// Those of some kinds, in their order.
    pub fn of(&self, kinds: &[&str]) -> Vec<Json> {
        self.0.iter().filter(|object| kinds.contains(&kind(object))).cloned().collect()
    }

    /// The same in another namespace.
    pub fn of_in(&self, kinds: &[&str], namespace: &str) -> Vec<Json> {
        let mut objects = self.of(kinds);
        for object in &mut objects {
            object["metadata"]["namespace"] = namespace.into();
        }
        objects
    }
}

fn kind(object: &Json) -> &str {
    object["kind"].as_str().unwrap_or_default()
}
