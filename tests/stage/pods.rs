//! The running pods of a Deployment named `app`.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, Client, api::ListParams};

use super::http;

/// The label that finds them.
pub const SELECTOR: &str = "app=app";

/// A pod, and what would be another after a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct PodRef {
    pub name: String,
    pub uid: String,
    pub ip: IpAddr,
    pub restarts: i32,
}

impl PodRef {
    /// What its flows answer.
    pub fn get(&self, port: u16, path: &str) -> Result<String> {
        let (status, body) = http::get(SocketAddr::new(self.ip, port), path)
            .with_context(|| format!("{} does not answer at :{port}{path}", self.name))?;
        if status != 200 {
            bail!("{} answers {status} at {path}: {body}", self.name);
        }
        Ok(body)
    }
}

/// Waits until the Deployment has rolled out to so many pods.
pub async fn running(client: &Client, namespace: &str, count: usize, limit: Duration) -> Result<Vec<PodRef>> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let (began, wanted) = (Instant::now(), i32::try_from(count)?);
    loop {
        let deployment = deployments.get("app").await?;
        let status = deployment.status.unwrap_or_default();
        let counts = [status.replicas, status.updated_replicas, status.ready_replicas];
        let complete = status.observed_generation == deployment.metadata.generation && counts == [Some(wanted); 3];
        if complete {
            let pods = list(client, namespace).await?;
            if pods.len() == count {
                return Ok(pods);
            }
        }
        if began.elapsed() > limit {
            bail!("{count} pods do not run in {namespace} after {limit:?}: {counts:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Those that have an address.
pub async fn list(client: &Client, namespace: &str) -> Result<Vec<PodRef>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(SELECTOR)).await?;
    Ok(pods.into_iter().filter_map(pod_ref).collect())
}

fn pod_ref(pod: Pod) -> Option<PodRef> {
    let status = pod.status?;
    let restarts = status.container_statuses.iter().flatten().map(|container| container.restart_count).sum();
    Some(PodRef { name: pod.metadata.name?, uid: pod.metadata.uid?, ip: status.pod_ip?.parse().ok()?, restarts })
}
