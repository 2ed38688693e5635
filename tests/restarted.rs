//! `reload: Restart` on a real node: programs that read their environment once, at their start, get the new value by new pods,
//! and no more workloads roll at once than may.

mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devcluster::NodeBox;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, LogParams, Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use spacesync::{
    delivery::restart::{Progress, Rollout},
    resources::{SpaceSecretSync, condition::find, names},
};
use stage::{Operator, SYSTEM, objects};

const NAMESPACE: &str = "flows";
/// The last is a StatefulSet.
const APPS: [&str; 5] = ["app-1", "app-2", "app-3", "app-4", "app-5"];
const AT_ONCE: usize = 2;
const LIMIT: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_its_environment_at_its_start_is_rolled_once_for_a_new_value_two_workloads_at_a_time() -> Result<()>
{
    if !stage::is_root() {
        println!("SKIPPED: a node needs root");
        return Ok(());
    }
    let node = tokio::task::spawn_blocking(NodeBox::start).await??;
    stage::install(&node)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_spacesync"));
    let (api, flags) = (stage::free_port(node.host_address())?, ["--rollouts-at-once", &AT_ONCE.to_string()]);
    let operator = Operator::start_with(&node, binary, api, "info,spacesync=debug", &flags)?;
    let told = round(stage::client(&node).await?).await;
    if told.is_err() {
        println!("{}", operator.last_words());
    }
    told
}

async fn round(client: Client) -> Result<()> {
    let mut first = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
    first.extend(objects::bound(NAMESPACE, "TOKEN", "value-1"));
    first.push(objects::spacesync("SpaceSecretSync", Some(NAMESPACE), "secrets", &json!({})));
    objects::apply(&client, &first).await?;
    delivered(&client, 1, "0/0").await?;
    objects::apply(&client, &APPS.iter().flat_map(|name| app(name)).collect::<Vec<_>>()).await?;
    delivered(&client, 1, "5/5").await?;
    let (before, generations) = (pods(&client).await?, workloads(&client).await?);
    ensure!(before.values().all(|said| said == "token=value-1"), "{before:?}");

    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let watching = tokio::spawn(watch(client.clone(), seen.clone()));
    let began = Instant::now();
    let entries: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    let change = json!({"stringData": {"TOKEN": "value-2"}});
    entries.patch(&format!("space-{NAMESPACE}"), &PatchParams::default(), &Patch::Merge(&change)).await?;
    delivered(&client, 2, "5/5").await?;
    println!("{} workloads rolled, {AT_ONCE} at a time: {:.1} s", APPS.len(), began.elapsed().as_secs_f64());
    watching.abort();

    let after = pods(&client).await?;
    ensure!(after.values().all(|said| said == "token=value-2"), "{after:?}");
    ensure!(after.keys().all(|uid| !before.contains_key(uid)), "a pod stayed: {before:?} {after:?}");
    let most = seen.lock().expect("it does not panic").iter().map(|rolling: &BTreeSet<String>| rolling.len()).max();
    ensure!(most == Some(AT_ONCE), "{most:?} rolled at once: {seen:?}");
    for (name, (generation, rolled_for, _)) in workloads(&client).await? {
        let (earlier, ..) = generations[&name];
        ensure!(generation == earlier + 1, "{name} rolled {} times", generation - earlier);
        ensure!(rolled_for.as_ref().is_some_and(|revision| revision.starts_with("2-")), "{name}: {rolled_for:?}");
    }
    Ok(())
}

/// A workload whose program says, once, what it found in its environment; and its FlowApp.
fn app(name: &str) -> [Json; 2] {
    let labels = json!({"app": name});
    let say = "echo token=$TOKEN; trap 'exit 0' TERM; while :; do sleep 0.2; done";
    let kind = if name == APPS[APPS.len() - 1] { "StatefulSet" } else { "Deployment" };
    let container = json!({"name": "app", "image": "localhost/busybox:1", "command": ["sh", "-c", say],
                           "envFrom": [{"secretRef": {"name": "secrets"}}]});
    let mut workload = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": 1, "minReadySeconds": 1, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels},
                              "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}},
    });
    if kind == "StatefulSet" {
        workload["spec"]["serviceName"] = name.into();
    }
    let app = json!({"version": "5.3.0", "reload": "Restart", "workloadRef": {"kind": kind, "name": name}});
    [workload, objects::spacesync("FlowApp", Some(NAMESPACE), name, &app)]
}

/// Waits until the sync says so of this version.
async fn delivered(client: &Client, version: u64, summary: &str) -> Result<()> {
    let (syncs, began) = (Api::<SpaceSecretSync>::namespaced(client.clone(), NAMESPACE), Instant::now());
    loop {
        let status = syncs.get("secrets").await?.status.unwrap_or_default();
        let holds = find(&status.conditions, "Delivered").is_some_and(|condition| condition.status == "True");
        let is = status.delivery.as_ref().map(|delivery| delivery.summary.as_str());
        if holds && status.version == Some(version) && is == Some(summary) {
            return Ok(());
        }
        ensure!(began.elapsed() < LIMIT, "{:?} {:?}", status.delivery, status.conditions);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What each pod that stays has said, by its UID.
async fn pods(client: &Client) -> Result<BTreeMap<String, String>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let mut said = BTreeMap::new();
    for pod in api.list(&ListParams::default()).await?.items {
        if pod.metadata.deletion_timestamp.is_none() {
            let log = api.logs(&pod.name_any(), &LogParams::default()).await?;
            said.insert(pod.uid().context("a UID")?, log.trim().to_owned());
        }
    }
    ensure!(said.len() == APPS.len(), "{said:?}");
    Ok(said)
}

/// Of each workload its generation, what it was rolled for, and how far it is.
async fn workloads(client: &Client) -> Result<BTreeMap<String, (i64, Option<String>, Progress)>> {
    let rolled_for = |meta: &kube::core::ObjectMeta| meta.annotations.as_ref()?.get(names::RESTARTED_FOR).cloned();
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE).list(&ListParams::default()).await?;
    let sets = Api::<StatefulSet>::namespaced(client.clone(), NAMESPACE).list(&ListParams::default()).await?;
    let of_deployments = deployments.iter().map(|one| (&one.metadata, Rollout::of_deployment(one).progress));
    let of_sets = sets.iter().map(|one| (&one.metadata, Rollout::of_stateful_set(one).progress));
    let each = of_deployments.chain(of_sets).map(|(meta, progress)| {
        (meta.name.clone().unwrap_or_default(), (meta.generation.unwrap_or_default(), rolled_for(meta), progress))
    });
    Ok(each.collect())
}

/// Notes which workloads roll for the second version at the same time.
async fn watch(client: Client, seen: Arc<Mutex<BTreeSet<BTreeSet<String>>>>) -> Result<()> {
    loop {
        let rolls = |(name, (_, rolled_for, progress)): (String, (i64, Option<String>, Progress))| {
            let for_it = rolled_for.is_some_and(|revision| revision.starts_with("2-"));
            (for_it && progress != Progress::Complete).then_some(name)
        };
        let rolling = workloads(&client).await?.into_iter().filter_map(rolls).collect();
        seen.lock().expect("it does not panic").insert(rolling);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
