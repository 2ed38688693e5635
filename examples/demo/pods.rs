//! The pods of a flow app, and what they see.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, api::ListParams};
use spacesync::resources::{FlowApp, SpaceSecretSync};

use crate::{
    acks::Acks,
    stage::{files, node_red, objects},
    story::{self, expect},
    world::{World, says, status, until},
};

const MOUNT: &str = "/var/run/spacesync";
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);

/// The pods of the flow app of a namespace. None where there is no node.
pub struct FlowPods {
    pub namespace: String,
    pods: Vec<Seen>,
}

/// What would be another after a restart.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    name: String,
    uid: String,
    address: String,
    restarts: i32,
}

impl FlowPods {
    /// Applies the sample's flow app and Deployment, and waits for its three pods.
    pub async fn start(world: &World, namespace: &str) -> Result<Self> {
        let mut objects = world.samples.of_in(&["FlowApp", "Deployment"], namespace);
        // The flow app first: then the operator has the volume in the template before there are many pods of it.
        objects.sort_by_key(|object| object["kind"] != "FlowApp");
        if world.node.is_none() {
            objects.retain(|object| object["kind"] == "FlowApp");
            objects::apply(&world.client, &objects).await?;
            return Ok(Self { namespace: namespace.to_owned(), pods: Vec::new() });
        }
        let rolled_out = async {
            objects::apply(&world.client, &[node_red::config_map(namespace)]).await?;
            objects::apply(&world.client, &objects).await?;
            let injected = |app: &FlowApp| says(app, "Injected", "True/Injected");
            until(world.api::<FlowApp>(namespace), "ingest", "is injected", status, injected).await?;
            let complete = |deployment: &Deployment| is_rolled_out(deployment);
            until(world.api::<Deployment>(namespace), "ingest", "is rolled out", status, complete).await?;
            all_running(world.api(namespace)).await
        };
        let pods = story::step("flow app ingest: the volume is injected, three Node-REDs run", rolled_out).await?;
        let delivered = |sync: &SpaceSecretSync| says(sync, "Delivered", "True/Delivered");
        let sync = world.api::<SpaceSecretSync>(namespace);
        let proven = until(sync, "secrets", "is delivered to all pods", status, delivered);
        story::step("each has acknowledged what it loaded: the sync is Delivered", proven).await?;
        Ok(Self { namespace: namespace.to_owned(), pods })
    }

    /// Where each pod's Node-RED listens, as `address:port`.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.pods.iter().map(|pod| format!("{}:1880", pod.address))
    }

    /// Whether there are any.
    pub fn are_there(&self) -> bool {
        !self.pods.is_empty()
    }

    /// Looks into each pod as a person would.
    pub async fn read(&self, world: &World, key: &str, expected: &str) -> Result<()> {
        if !self.are_there() {
            return Ok(());
        }
        let looking = async {
            for pod in &self.pods {
                let file = format!("{MOUNT}/{key}");
                let args = ["exec", "-n", &self.namespace, &pod.name, "--", "cat", &file];
                let seen = world.cluster.kubectl(&args)?;
                expect(&format!("{file} in pod {}", pod.name), &expected.to_owned(), &seen)?;
            }
            Ok(())
        };
        story::step(&format!("kubectl exec … cat {MOUNT}/{key}: {expected}, in each pod"), looking).await
    }

    /// Makes a change and tells when each pod had the file, and when each pod's runtime had acknowledged it.
    pub async fn see(
        &self,
        world: &World,
        what: &str,
        (key, value): (&str, &str),
        change: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let Some(node) = &world.node else { return Ok(()) };
        let file = |pod: &Seen| node.pod_volume_dir(&pod.uid, "spacesync").join(key);
        let all: Vec<PathBuf> = self.pods.iter().map(file).collect();
        let wanted = value.to_owned();
        let acks = Acks::begin(world.api(&self.namespace)).await?;
        let began = Instant::now();
        let watching = tokio::task::spawn_blocking(move || files::stand(&all, &wanted, began, ARRIVAL_LIMIT));
        let (changed, acknowledged) = tokio::join!(change, acks.all_new(began));
        changed?;
        let (arrivals, acknowledged) = (watching.await.context("the watch of the files broke")??, acknowledged?);
        story::seen(&format!("{what}: the file stands in each pod after {}", told(&arrivals)), latest(&arrivals));
        let told = format!("{what}: each flow reads it, acknowledged after {}", told(&acknowledged));
        story::seen(&told, latest(&acknowledged));
        Ok(())
    }

    /// Not one pod was restarted or replaced since.
    pub async fn still_the_same(&self, world: &World) -> Result<()> {
        if !self.are_there() {
            return Ok(());
        }
        let now = seen(world.api(&self.namespace)).await?;
        expect(&format!("pods of {} (name, UID, restarts)", self.namespace), &self.pods, &now)?;
        story::say(&format!("{}: the same three pods as before, no restart", self.namespace));
        Ok(())
    }
}

fn told(times: &[Duration]) -> String {
    let mut times: Vec<_> = times.iter().map(Duration::as_millis).collect();
    times.sort_unstable();
    times.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") + " ms"
}

fn latest(times: &[Duration]) -> Duration {
    times.iter().max().copied().unwrap_or_default()
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.ready_replicas].iter().all(|count| *count == wanted)
}

/// Those of an earlier template are on their way out for a moment.
async fn all_running(api: Api<Pod>) -> Result<Vec<Seen>> {
    for _ in 0..600 {
        let pods = seen(api.clone()).await?;
        if pods.len() == 3 {
            return Ok(pods);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("expected three pods, seen {:?}", seen(api).await?)
}

async fn seen(api: Api<Pod>) -> Result<Vec<Seen>> {
    let pods = api.list(&ListParams::default().labels("app=ingest")).await?;
    let restarts = |pod: &Pod| {
        let containers = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
        containers.into_iter().flatten().map(|c| c.restart_count).sum()
    };
    let seen = |pod: Pod| Seen {
        restarts: restarts(&pod),
        address: pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default(),
        name: pod.metadata.name.unwrap_or_default(),
        uid: pod.metadata.uid.unwrap_or_default(),
    };
    Ok(pods.into_iter().map(seen).collect())
}
