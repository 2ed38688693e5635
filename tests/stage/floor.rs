//! A flow app without the operator: a client and an API that do only what cannot be left out.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use devcluster::Node;
use kube::Client;
use serde_json::{Value as Json, json};
use spacesync::resources::names;

use super::{
    bare_api::BareApi,
    by_hand, objects,
    pods::{self, PodRef},
    runtime::Runtime,
};

const NAMESPACE: &str = "floor";
const KEY: &str = "MY_API_TOKEN";
const LIMIT: Duration = Duration::from_secs(30);

/// Running pods that have acknowledged what they began with.
pub struct Floor {
    runtime: Runtime,
    client: Client,
    api: BareApi,
    pods: Vec<PodRef>,
    version: u64,
}

impl Floor {
    /// Brings them up.
    pub async fn raise(node: &Node, client: Client, runtime: Runtime, limit: Duration) -> Result<Self> {
        let api = BareApi::start(node.host_address())?;
        objects::apply(&client, &objects_of(&runtime, &api)).await?;
        let pods = pods::running(&client, NAMESPACE, runtime.pods, limit).await?;
        let floor = Self { runtime, client, api, pods, version: 1 };
        floor.acknowledged(limit)?;
        Ok(floor)
    }

    /// One change: from the write to the Secret until the last pod's acknowledgement is there.
    pub async fn round(&mut self) -> Result<Duration> {
        self.version += 1;
        let revision = revision(self.version);
        let content = by_hand::content(&revision, KEY, &format!("value-{}", self.version));
        let began = Instant::now();
        by_hand::change(&self.client, NAMESPACE, &self.pods, &revision, content).await?;
        let last = self.acknowledged(LIMIT)?;
        self.runtime.reads(&self.pods, self.version)?;
        Ok(last.duration_since(began))
    }

    /// When the last pod acknowledged this version.
    fn acknowledged(&self, limit: Duration) -> Result<Instant> {
        let addresses: Vec<IpAddr> = self.pods.iter().map(|pod| pod.ip).collect();
        tokio::task::block_in_place(|| self.api.all(&addresses, &revision(self.version), limit))
    }
}

fn revision(version: u64) -> String {
    format!("{version}-{version:016x}")
}

fn objects_of(runtime: &Runtime, api: &BareApi) -> Vec<Json> {
    let mut objects = (runtime.objects)(NAMESPACE, runtime.pods);
    objects.iter_mut().filter(|object| object["kind"] == "Deployment").for_each(by_hand::inject);
    let object = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}});
    let (mut secret, mut config) = (object("Secret", by_hand::SECRET), object("ConfigMap", names::API_CONFIG_MAP));
    secret["stringData"] = by_hand::content(&revision(1), KEY, "value-1");
    config["data"] = json!({"url": api.url, "ca.crt": api.ca});
    // The namespace is the first of them; the pods start with all of it.
    objects.splice(1..1, [secret, config]);
    objects
}
