//! How long a changed secret takes to the files of three running pods: by the operator, and by a client that does only
//! what cannot be left out, on pods that the operator does not know.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devcluster::Node;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use spacesync::resources::names;

use super::{
    SYSTEM, by_hand, files,
    objects::{self, apply},
    pods::{self, PodRef},
};

const FLOOR: &str = "floor";
const OURS: &str = "flows";
const KEY: &str = "TOKEN";
const UP_LIMIT: Duration = Duration::from_mins(1);
/// Generous: a round that is late is to be told by its time, and not to end the run.
const ROUND_LIMIT: Duration = Duration::from_secs(5);
/// The kubelet refreshes a pod at once only once a second. Two of these lie between the rounds of a set of pods.
const PAUSE: Duration = Duration::from_millis(700);
/// The kubelet's loops turn ten times a second.
const TURN: f64 = 0.1;

/// Two flow apps of three pods each, one with the operator and one without.
pub struct Live {
    client: Client,
    node: Node,
    floor: Vec<PodRef>,
    ours: Vec<PodRef>,
}

/// How long each round took until the last of the three files stood.
#[derive(Default)]
pub struct Rounds {
    /// By the operator: from the write to the embedded store on.
    pub ours: Vec<Duration>,
    /// By the bare client: from the write to the Secret on.
    pub floor: Vec<Duration>,
}

impl Live {
    /// Brings both flow apps up.
    pub async fn raise(node: &Node, client: Client) -> Result<Self> {
        apply(&client, &floor_objects()).await?;
        apply(&client, &our_objects()).await?;
        objects::injected(&client, OURS, UP_LIMIT).await?;
        let floor = pods::running(&client, FLOOR, 3, UP_LIMIT).await?;
        let ours = pods::running(&client, OURS, 3, UP_LIMIT).await?;
        let live = Self { client, node: node.clone(), floor, ours };
        let began = Instant::now();
        files::stand(&live.files(&live.floor), "0", began, UP_LIMIT).context("the floor's pods")?;
        files::stand(&live.files(&live.ours), "0", began, UP_LIMIT).context("the operator's pods")?;
        Ok(live)
    }

    /// Changes the value of both, one after the other, so that both meet the same machine.
    pub async fn rounds(&self, count: usize) -> Result<Rounds> {
        let mut rounds = Rounds::default();
        // The first makes the connections.
        for round in 0..=count {
            let (value, first) = (format!("value-{round}"), round == 0);
            tokio::time::sleep(spread(PAUSE, 2 * round)).await;
            let floor = self.round(&self.floor, &value, self.by_hand(&value)).await?;
            tokio::time::sleep(spread(PAUSE, 2 * round + 1)).await;
            let ours = self.round(&self.ours, &value, self.by_operator(&value)).await?;
            if !first {
                rounds.floor.push(floor);
                rounds.ours.push(ours);
            }
        }
        Ok(rounds)
    }

    /// The same pods as at first, never restarted.
    pub async fn is_unharmed(&self) -> Result<()> {
        let now = pods::list(&self.client, OURS).await?;
        ensure!(now == self.ours, "pods were restarted: at first {:?}, now {now:?}", self.ours);
        Ok(())
    }

    async fn round(&self, pods: &[PodRef], value: &str, change: impl Future<Output = Result<()>>) -> Result<Duration> {
        let (files, wanted, since) = (self.files(pods), value.to_owned(), Instant::now());
        let watching = tokio::task::spawn_blocking(move || files::stand(&files, &wanted, since, ROUND_LIMIT));
        change.await?;
        let each = watching.await??;
        Ok(each.into_iter().max().unwrap_or_default())
    }

    async fn by_hand(&self, value: &str) -> Result<()> {
        by_hand::change(&self.client, FLOOR, &self.floor, value, json!({KEY: value})).await
    }

    async fn by_operator(&self, value: &str) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), SYSTEM);
        let body = json!({"stringData": {KEY: value}});
        secrets.patch(&format!("space-{OURS}"), &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    fn files(&self, pods: &[PodRef]) -> Vec<PathBuf> {
        pods.iter().map(|pod| self.node.pod_volume_dir(&pod.uid, names::VOLUME).join(KEY)).collect()
    }
}

/// Pauses spread evenly over the turns of the kubelet's loops: else a round that begins when the one before has just ended
/// would always meet them at the same place.
pub fn spread(pause: Duration, number: usize) -> Duration {
    const GOLDEN: f64 = 0.618_033_988;
    let number = u32::try_from(number).map_or(0.0, f64::from);
    pause + Duration::from_secs_f64((number * GOLDEN).fract() * TURN)
}

/// The middle one, and the last.
pub fn p50_and_max(times: &[Duration]) -> (Duration, Duration) {
    let mut times = times.to_vec();
    times.sort();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}

fn floor_objects() -> Vec<Json> {
    let mut deployment = deployment(FLOOR);
    by_hand::inject(&mut deployment);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": by_hand::SECRET, "namespace": FLOOR},
                        "stringData": {KEY: "0"}});
    vec![namespace(FLOOR), secret, deployment]
}

fn our_objects() -> Vec<Json> {
    let mut objects = objects::bound(OURS, KEY, "0");
    objects.push(namespace(OURS));
    objects.extend(objects::served(OURS));
    objects.push(deployment(OURS));
    objects
}

fn namespace(name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn deployment(namespace: &str) -> Json {
    let labels = BTreeMap::from([("app", "app")]);
    let command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"];
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": namespace},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "localhost/busybox:1", "command": command}]}}}})
}
