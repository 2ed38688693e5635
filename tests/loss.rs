//! Nothing is lost. Whatever happens in the middle of a change, every pod ends with the newest revision acknowledged, or is
//! named with the reason; and then all is quiet.
//!
//! One node for all, with a real kubelet, the real operator and pods of the light runtime; one test at a time, for what
//! each does to the operator or to the kubelet the others would feel.

mod stage;

use std::{
    fmt::Debug,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use devcluster::NodeBox;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Pod, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, SpaceSecretSync, SpaceSecretSyncStatus, condition::find, names};
use stage::{
    Operator, SYSTEM, files, light_runtime, objects,
    pods::{self, PodRef},
};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

const KEY: &str = "TOKEN";
const OPERATOR: &str = "system:serviceaccount:spacesync-system:spacesync";
/// Longer than a lease, which whoever succeeds one that was killed waits for.
const PATIENCE: Duration = Duration::from_mins(1);
/// No retry of ours comes later than this after the last, unless it waits for an acknowledgement.
const QUIET: Duration = Duration::from_secs(6);

struct Stage {
    node: NodeBox,
    operator: Operator,
}

static STAGE: Mutex<Option<Stage>> = Mutex::const_new(None);

/// The stage to oneself, with an operator on it; `None` where there can be no node.
async fn stage() -> Result<Option<MappedMutexGuard<'static, Stage>>> {
    if !stage::is_root() {
        println!("SKIPPED: a node needs root");
        return Ok(None);
    }
    let mut stage = STAGE.lock().await;
    if stage.is_none() {
        let start = || NodeBox::builder().image_archive(light_runtime::image()?).start();
        let node = tokio::task::spawn_blocking(start).await??;
        stage::install(&node)?;
        let operator = Operator::start(&node, operator_binary(), node.host_address(), LOG_LEVEL)?;
        *stage = Some(Stage { node, operator });
    }
    Ok(Some(MutexGuard::map(stage, |stage| stage.as_mut().expect("just made"))))
}

const LOG_LEVEL: &str = "info,spacesync=debug";

fn operator_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_spacesync"))
}

impl Stage {
    /// Another operator in place of one that has ended, at the same address.
    fn start_again(&mut self) -> Result<()> {
        self.operator = Operator::start_at(&self.node, operator_binary(), self.operator.api, LOG_LEVEL)?;
        Ok(())
    }

    /// What the operator wrote in a namespace so far: verb and path.
    fn writes(&self, namespace: &str) -> Result<Vec<String>> {
        let entries = self.node.audit_entries()?.into_iter();
        let ours = entries.filter(|entry| {
            entry["user"]["username"] == OPERATOR
                && entry["objectRef"]["namespace"] == namespace
                && !["get", "list", "watch"].map(Json::from).contains(&entry["verb"])
        });
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        Ok(ours.map(|entry| format!("{} {}", text(&entry["verb"]), text(&entry["requestURI"]))).collect())
    }
}

/// A flow app of light runtimes in a namespace of its own.
struct Flows<'s> {
    stage: &'s mut Stage,
    client: Client,
    namespace: &'static str,
    count: usize,
}

impl<'s> Flows<'s> {
    /// Pods that have acknowledged what they began with.
    async fn raise(stage: &'s mut Stage, namespace: &'static str, count: usize) -> Result<Self> {
        let client = stage::client(&stage.node).await?;
        let mut all = light_runtime::objects(namespace, count);
        all.splice(1..1, objects::served(namespace));
        all.extend(objects::bound(namespace, KEY, "value-1"));
        objects::apply(&client, &all).await?;
        pods::running(&client, namespace, count, PATIENCE).await?;
        let flows = Self { stage, client, namespace, count };
        flows.until_all_have("value-1").await?;
        Ok(flows)
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Changes the value in the store.
    async fn change(&self, value: &str) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), SYSTEM);
        let body = json!({"stringData": {KEY: value}});
        secrets.patch(&format!("space-{}", self.namespace), &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    async fn pods(&self) -> Result<Vec<PodRef>> {
        pods::list(&self.client, self.namespace).await
    }

    /// Waits until an object is so, by a watch.
    async fn until<K>(&self, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let waiting = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_some_and(&holds));
        if let Ok(found) = tokio::time::timeout(PATIENCE, waiting).await {
            return found?.with_context(|| format!("{name} has gone"));
        }
        let now = self.api::<K>().get_opt(name).await?;
        bail!("{name} did not come to: {what}; it is {now:#?}\n{}", self.stage.operator.last_words())
    }

    /// The revision at which the managed Secret holds this value.
    async fn until_written(&self, value: &str) -> Result<String> {
        let holds = |secret: &Secret| {
            secret.data.as_ref().is_some_and(|data| data.get(KEY).is_some_and(|found| found.0 == value.as_bytes()))
        };
        let secret: Secret = self.until("secrets", "the new value", holds).await?;
        secret.annotations().get(names::REVISION).cloned().context("a managed Secret without a revision")
    }

    /// Waits until the sync's status is so.
    async fn until_sync(
        &self,
        what: &str,
        holds: impl Fn(&SpaceSecretSyncStatus) -> bool,
    ) -> Result<SpaceSecretSyncStatus> {
        let sync: SpaceSecretSync =
            self.until("secrets", what, |sync: &SpaceSecretSync| sync.status.as_ref().is_some_and(&holds)).await?;
        sync.status.context("just seen")
    }

    /// Waits until the sync says that all pods have this value; then each has said so itself, and its flows read it.
    async fn until_all_have(&self, value: &str) -> Result<Vec<PodRef>> {
        let revision = self.until_written(value).await?;
        let summary = format!("{0}/{0}", self.count);
        let all = |status: &SpaceSecretSyncStatus| {
            status.revision.as_ref() == Some(&revision)
                && status.delivery.as_ref().is_some_and(|delivery| delivery.summary == summary)
                && find(&status.conditions, "Delivered").is_some_and(|condition| condition.status == "True")
        };
        self.until_sync(&format!("{summary} have {revision}"), all).await?;
        let pods = self.pods().await?;
        ensure!(pods.len() == self.count, "{pods:?}");
        for pod in &pods {
            let now = self.api::<Pod>().get(&pod.name).await?;
            ensure!(loaded(&now) == Some(("True".into(), revision.clone())), "{}: {:?}", pod.name, loaded(&now));
            let flows = tokio::task::block_in_place(|| pod.get(light_runtime::PORT, "/"))?;
            let flows: Json = serde_json::from_str(&flows)?;
            ensure!(flows["revision"] == revision && flows["problem"].is_null(), "{} reads {flows}", pod.name);
        }
        Ok(pods)
    }

    /// Waits until nothing is written any more.
    async fn until_quiet(&self) -> Result<()> {
        let (mut last, mut since, began) = (self.stage.writes(self.namespace)?, Instant::now(), Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.stage.writes(self.namespace)?;
            if now.len() != last.len() {
                ensure!(began.elapsed() < PATIENCE, "it never comes to rest: {:#?}", &now[last.len()..]);
                (last, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// What a pod's runtime has logged.
    fn log(&self, pod: &PodRef) -> Result<String> {
        self.stage.node.kubectl(&["logs", "-n", self.namespace, &pod.name])
    }

    /// The files that a pod's kubelet mounts.
    fn files(&self, pods: &[PodRef], path: &str) -> Vec<std::path::PathBuf> {
        pods.iter().map(|pod| self.stage.node.pod_volume_dir(&pod.uid, names::VOLUME).join(path)).collect()
    }
}

/// The word of a pod's runtime: whether it has loaded, and which revision.
fn loaded(pod: &Pod) -> Option<(String, String)> {
    let condition = pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == names::LOADED)?;
    Some((condition.status.clone(), condition.message.clone().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_no_operator_ran_is_delivered_when_one_runs_again() -> Result<()> {
    let Some(mut stage) = stage().await? else { return Ok(()) };
    let flows = Flows::raise(&mut stage, "down", 3).await?;
    flows.change("value-2").await?;
    flows.stage.operator.kill()?;
    flows.change("value-3").await?;
    // A pod that starts meanwhile reads what is mounted, and has nobody to tell.
    let gone = flows.pods().await?.remove(0);
    flows.api::<Pod>().delete(&gone.name, &DeleteParams::default()).await?;
    pods::running(&flows.client, flows.namespace, 3, PATIENCE).await?;
    flows.stage.start_again()?;
    let pods = flows.until_all_have("value-3").await?;
    assert!(!pods.iter().any(|pod| pod.uid == gone.uid));
    flows.until_quiet().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_replaced_in_the_middle_of_a_change_is_succeeded_by_one_that_acknowledges_it() -> Result<()> {
    let Some(mut stage) = stage().await? else { return Ok(()) };
    let flows = Flows::raise(&mut stage, "replaced", 3).await?;
    let gone = flows.pods().await?.remove(0);
    flows.change("value-2").await?;
    flows.api::<Pod>().delete(&gone.name, &DeleteParams::default().grace_period(0)).await?;
    pods::running(&flows.client, flows.namespace, 3, PATIENCE).await?;
    let pods = flows.until_all_have("value-2").await?;
    assert!(!pods.iter().any(|pod| pod.uid == gone.uid));
    flows.until_quiet().await?;
    let app = flows.api::<FlowApp>().get("app").await?;
    let mut named: Vec<_> = app.status.unwrap().pod_revisions.into_iter().map(|entry| entry.pod).collect();
    let mut there: Vec<_> = pods.into_iter().map(|pod| pod.name).collect();
    named.sort();
    there.sort();
    assert_eq!(named, there);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_annotation_beside_an_old_secret_is_acknowledged_by_nobody() -> Result<()> {
    const NEVER_WRITTEN: &str = "99-00000000000000ff";
    let Some(mut stage) = stage().await? else { return Ok(()) };
    let flows = Flows::raise(&mut stage, "early", 2).await?;
    let pods = flows.pods().await?;
    // Else it would tell them the right one again at once.
    let held_up = flows.stage.operator.hold_up()?;
    for pod in &pods {
        let annotation = format!("{}={NEVER_WRITTEN}", names::REVISION);
        let annotate = ["annotate", "--overwrite", "pod", "-n", flows.namespace, &pod.name, &annotation];
        flows.stage.node.kubectl(&annotate)?;
    }
    let told = flows.files(&pods, ".spacesync/revision");
    tokio::task::spawn_blocking(move || files::stand(&told, NEVER_WRITTEN, Instant::now(), PATIENCE)).await??;
    drop(held_up);
    // Runtimes look at one mount after the other: what they acknowledge of the next change they say after that.
    flows.change("value-2").await?;
    flows.until_all_have("value-2").await?;
    for pod in &pods {
        let log = flows.log(pod)?;
        assert!(log.contains("acknowledged 2-") && !log.contains(NEVER_WRITTEN), "{log}");
    }
    let acks = flows.stage.writes(flows.namespace)?;
    assert!(acks.iter().any(|write| write.contains("/status")), "{acks:?}");
    flows.until_quiet().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_that_dies_in_the_middle_of_a_change_delivers_it_when_it_is_back() -> Result<()> {
    let Some(mut stage) = stage().await? else { return Ok(()) };
    let flows = Flows::raise(&mut stage, "kubelet", 3).await?;
    let before = flows.pods().await?;
    flows.change("value-2").await?;
    flows.stage.node.restart_kubelet()?;
    flows.change("value-3").await?;
    assert_eq!(flows.until_all_have("value-3").await?, before, "the same pods, never restarted");
    flows.until_quiet().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_never_acknowledges_is_named_and_holds_up_no_other() -> Result<()> {
    let Some(mut stage) = stage().await? else { return Ok(()) };
    let flows = Flows::raise(&mut stage, "mute", 2).await?;
    objects::apply(&flows.client, &mute(flows.namespace)).await?;
    let is_mute = |status: &SpaceSecretSyncStatus| {
        let lagging = status.delivery.as_ref().map(|delivery| delivery.lagging.clone()).unwrap_or_default();
        lagging.len() == 1 && lagging[0].flow_app == "mute" && lagging[0].reason == "NeverAcked"
    };
    flows.until_sync("the mute one is named", is_mute).await?;
    flows.change("value-2").await?;
    let second = flows.until_written("value-2").await?;
    let has_it = |app: &FlowApp| {
        let status = app.status.clone().unwrap_or_default();
        let loaded = find(&status.conditions, "Loaded").is_some_and(|condition| condition.status == "True");
        loaded && status.revision.as_ref() == Some(&second)
    };
    flows.until("app", "the others have it", has_it).await?;
    let named = |status: &SpaceSecretSyncStatus| status.revision.as_ref() == Some(&second) && is_mute(status);
    let status = flows.until_sync("it is named again", named).await?;
    let delivered = find(&status.conditions, "Delivered").unwrap();
    assert_eq!((delivered.status.as_str(), delivered.reason.as_str()), ("Unknown", "NeverAcked"));
    assert_eq!(status.delivery.as_ref().unwrap().summary, "2/3");
    // What it was told is in its files all the same.
    let pods: Api<Pod> = flows.api();
    let pod = pods.get(&status.delivery.unwrap().lagging[0].pod).await?;
    let file = flows.stage.node.pod_volume_dir(&pod.uid().unwrap(), names::VOLUME).join(KEY);
    assert_eq!(std::fs::read_to_string(file)?, "value-2");
    flows.until_quiet().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_somebody_damaged_is_said_repaired_and_loaded() -> Result<()> {
    const WORD: &str = "LoadFailed:SnapshotIncomplete";
    let Some(mut stage) = stage().await? else { return Ok(()) };
    let flows = Flows::raise(&mut stage, "damaged", 2).await?;
    let pods = flows.pods().await?;
    // Else it would be repaired before any kubelet mounts it.
    let held_up = flows.stage.operator.hold_up()?;
    let without = json!({"data": {KEY: null}});
    flows.api::<Secret>().patch("secrets", &PatchParams::default(), &Patch::Merge(&without)).await?;
    for pod in &pods {
        flows.stage.node.kubectl(&["annotate", "pod", "-n", flows.namespace, &pod.name, "test/nudge=1"])?;
    }
    let (missing, began) = (flows.files(&pods, KEY), Instant::now());
    while missing.iter().any(|file| file.exists()) {
        ensure!(began.elapsed() < PATIENCE, "the damaged Secret is not mounted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let app_says = |app: &FlowApp| {
        let pods = app.status.as_ref().map(|status| status.pod_revisions.clone()).unwrap_or_default();
        pods.iter().any(|pod| pod.reason.as_deref() == Some(WORD))
    };
    let sync_says = |status: &SpaceSecretSyncStatus| {
        let is_failed = find(&status.conditions, "Delivered").is_some_and(|condition| condition.reason == "LoadFailed");
        is_failed && status.delivery.as_ref().is_some_and(|delivery| delivery.lagging[0].reason == WORD)
    };
    // It is repaired only after it was said; so whoever looks from now on sees both.
    let go_on = async {
        drop(held_up);
        anyhow::Ok(())
    };
    let (app, sync) = (flows.until("app", "it is said", app_says), flows.until_sync("it is said", sync_says));
    tokio::try_join!(app, sync, go_on)?;
    assert_eq!(flows.until_all_have("value-1").await?, pods);
    flows.until_quiet().await
}

/// A flow app in whose pod nothing reads the files.
fn mute(namespace: &str) -> Vec<Json> {
    let mut objects = light_runtime::objects(namespace, 1);
    let mut deployment = objects.remove(1);
    deployment["metadata"]["name"] = "mute".into();
    let labels = json!({"app": "mute"});
    deployment["spec"]["selector"]["matchLabels"] = labels.clone();
    deployment["spec"]["template"]["metadata"]["labels"] = labels;
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["image"] = "localhost/busybox:1".into();
    container["command"] = json!(["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]);
    let app = json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": "FlowApp",
        "metadata": {"name": "mute", "namespace": namespace},
        "spec": {"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": "mute"}}});
    vec![app, deployment]
}
