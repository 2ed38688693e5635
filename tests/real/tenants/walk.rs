//! The walk: every field that the generated definitions have, and every label and annotation that means something to us,
//! is set to every name that another tenant's things have. The tenant is a user with the role `edit` in its own namespace,
//! and nothing else.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Resource,
    api::{DeleteParams, DynamicObject, ListParams},
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::{
    editor::create,
    fields::{leaves_of, our_names},
    objects::{config_map, deployment, pod, resource_of, secret, whole_app, whole_sync},
    round::{Attempt, Round, Tally},
    stage::Stage,
};
use crate::{
    scan::{channel_of, leaks, objects},
    tenant::{PATIENCE, merge},
    world::World,
};

/// Requests at once.
const AT_ONCE: usize = 12;

/// Every version that a kind's objects of a namespace have, as it comes.
fn watch<K>(api: Api<K>) -> Arc<Mutex<Vec<Json>>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize + Send + 'static,
{
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    tokio::spawn(async move {
        let mut objects = std::pin::pin!(watcher(api, watcher::Config::default()).touched_objects());
        while let Some(object) = objects.next().await {
            if let Ok(object) = object {
                into.lock().unwrap().push(json!(object));
            }
        }
    });
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_label_or_annotation_that_a_tenant_writes_reaches_another_spaces_secrets() {
    let stage = Stage::set().await;
    let (secrets, config_maps) = (watch(stage.tenant.api::<Secret>()), watch(stage.tenant.api::<ConfigMap>()));
    let before = stage.of_the_other().await;
    let mut tally = Tally::default();
    for (number, value) in stage.hostile().await.iter().enumerate() {
        try_all(&stage, &Round::new(number, value), &mut tally).await;
        let suffix = format!("-{number}");
        stage.tenant.entry(&[("A", &format!("{}{suffix}", stage.mine.text()))]).await;
        stage.until_own(&suffix).await;
        scan(&stage, value).await;
        clear(&stage, number).await;
    }
    let (accepted, refused) = tally.totals();
    let never = tally.refused.keys().filter(|what| !tally.accepted.contains_key(*what)).cloned().collect::<Vec<_>>();
    println!("{accepted} objects were accepted, {refused} refused; always refused: {}", never.join(", "));
    assert!(accepted > 500 && refused > 200, "{accepted} accepted, {refused} refused");
    assert_eq!(stage.of_the_other().await, before);
    for seen in [secrets, config_maps] {
        let seen = seen.lock().unwrap();
        println!("{} versions were watched", seen.len());
        for object in seen.iter() {
            assert_eq!(stage.theirs.find(&object.to_string()), None);
        }
    }
}

/// Sends all of a round, and waits until the operator has looked at what was accepted.
async fn try_all(stage: &Stage, round: &Round<'_>, tally: &mut Tally) {
    // Flow apps find their workloads there.
    let apps = round.attempts.iter().filter(|attempt| attempt.object["kind"] == "FlowApp");
    let names = apps.filter_map(|attempt| attempt.object["spec"]["workloadRef"]["name"].as_str());
    let mut workloads: Vec<_> = names.filter(|name| name.starts_with('r')).map(deployment).collect();
    for workload in &mut workloads {
        merge(workload, json!({"metadata": {"labels": {"round": round.number.to_string()}}}));
    }
    let sends = stream::iter(workloads).map(|workload| stage.sent(workload)).buffer_unordered(AT_ONCE);
    sends.for_each(|answer| async move { answer.expect("a tenant may have workloads") }).await;

    let sends = round.attempts.iter().map(|attempt| async move { (attempt, stage.sent(attempt.object.clone()).await) });
    let answers: Vec<_> = stream::iter(sends).buffer_unordered(AT_ONCE).collect().await;
    let mut looked = Vec::new();
    for (attempt, answer) in answers {
        tally.count(attempt, answer);
        let kind = attempt.object["kind"].as_str().unwrap_or_default();
        if answer.is_ok() && ["SpaceSecretSync", "FlowApp"].contains(&kind) {
            looked.push(attempt);
        }
    }
    join_all(looked.into_iter().map(|attempt| until_looked_at(stage, attempt))).await;
}

async fn until_looked_at(stage: &Stage, attempt: &Attempt) {
    let api = Api::<DynamicObject>::namespaced_with(
        stage.tenant.client.clone(),
        &stage.tenant.name,
        &resource_of(&attempt.object),
    );
    let name = attempt.object["metadata"]["name"].as_str().unwrap_or_default();
    // The status that the tenant wrote has not come through, so this is the operator's.
    let said = |object: &DynamicObject| object.data["status"]["observedGeneration"].as_i64().is_some();
    let object = tokio::time::timeout(
        PATIENCE,
        kube::runtime::wait::await_condition(api, name, |object: Option<&DynamicObject>| object.is_some_and(said)),
    )
    .await;
    assert!(matches!(object, Ok(Ok(_))), "nobody looked at {} {name}: {object:?}", attempt.what);
}

async fn scan(stage: &Stage, value: &str) {
    let channels: Vec<_> =
        objects(&stage.tenant.client, Some(&stage.tenant.name)).await.iter().map(channel_of).collect();
    assert_eq!(leaks(&stage.theirs, &channels), "", "with {value:?}");
    let mine = leaks(&stage.mine, &channels);
    assert!(mine.contains("Secret ") && mine.contains("/own: "), "the scan sees what is there: {mine}");
}

async fn clear(stage: &Stage, number: usize) {
    let (all, params) = (ListParams::default().labels(&format!("round={number}")), DeleteParams::default());
    join_all([whole_sync, whole_app, secret, config_map, pod, deployment].map(async |make| {
        let resource = resource_of(&make("x"));
        let api = Api::<DynamicObject>::namespaced_with(stage.editor.clone(), &stage.tenant.name, &resource);
        api.delete_collection(&params, &all).await.expect("a tenant may delete what is its own");
    }))
    .await;
}

#[tokio::test]
async fn the_walk_sets_fields_that_there_are() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    for (whole, kind) in [(whole_sync("whole"), "SpaceSecretSync"), (whole_app("whole"), "FlowApp")] {
        create(&tenant.client, &tenant.name, whole.clone()).await.expect("it is valid");
        let api = Api::<DynamicObject>::namespaced_with(tenant.client.clone(), &tenant.name, &resource_of(&whole));
        assert_eq!(api.get("whole").await.unwrap().data["spec"], whole["spec"]);
        for leaf in leaves_of(kind, "spec") {
            let steps = leaf.path.iter().filter(|step| !step.starts_with('{'));
            let pointer = steps.fold(String::new(), |at, step| at + "/" + if step == "[]" { "0" } else { step });
            assert!(whole.pointer(&pointer).is_some(), "no {pointer} in the whole {kind}");
        }
    }
    assert!(our_names().len() > 10, "{:?}", our_names());
}
