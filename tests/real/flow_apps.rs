//! What becomes of a flow app's workload.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, SpaceSecretSync};

use crate::{
    tenant::{Tenant, condition, message, until, version_of},
    workload::{app_condition, app_message, declared, mounted_secret, mounts, template, volume},
    world::World,
};

const MOUNTED: &[(&str, &str)] = &[("node-red", "/var/run/spacesync")];

fn pod_template(deployment: &Deployment) -> Json {
    serde_json::to_value(&deployment.spec.as_ref().unwrap().template).unwrap()
}

fn managers(object: &impl ResourceExt) -> Vec<String> {
    object.managed_fields().iter().filter_map(|entry| entry.manager.clone()).collect()
}

#[tokio::test]
async fn a_deployment_is_injected_and_keeps_what_is_its_own() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    let injected = tenant.until_mounted(MOUNTED).await;
    let mut without = pod_template(&injected);
    let spec = &mut without["spec"];
    let ours = spec["volumes"].as_array_mut().unwrap().pop().unwrap();
    spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().retain(|mount| mount["name"] != "spacesync");
    assert_eq!(
        without["metadata"]["labels"].as_object_mut().unwrap().remove("spacesync.dev/flow-app").unwrap(),
        "ingest"
    );
    assert_eq!(without, pod_template(&before));
    let sources = |volume: &Json| volume["projected"]["sources"].as_array().unwrap().len();
    assert_eq!((&ours["name"], sources(&ours)), (&json!("spacesync"), sources(&volume())));
    assert_eq!(injected.labels()["spacesync.dev/flow-app"], "ingest");
    let app = tenant.until_app("ingest", "Ready", "True/Ready").await;
    assert_eq!(app_message(&app, "Injected"), "Deployment ingest mounts Secret secrets at /var/run/spacesync");
    let status = app.status.unwrap();
    assert_eq!((status.sync.as_deref(), status.sync_on_save), (Some("secrets"), Some(true)));
    let note = tenant.until_event("FlowApp", "ingest", "Normal", "Injected").await;
    assert!(note.ends_with("it rolls once"), "{note}");
}

#[tokio::test]
async fn what_is_applied_together_warns_of_nothing_and_what_stays_missing_is_told() {
    let tenant = Tenant::unbound(World::shared()).await;
    // In the worst order: each waits for the next.
    tenant.ingest(json!({})).await;
    tenant.app_for("lost", json!({"workloadRef": {"name": "nowhere"}})).await;
    tenant.sync(json!({})).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.entry(&[("A", "1")]).await;
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.space(json!({})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.until_condition("Ready", "True/Synced").await;
    // Events come in order: when this one is there, one of before would be.
    let note = tenant.until_event("FlowApp", "lost", "Warning", "WorkloadNotFound").await;
    assert_eq!(note, "Deployment nowhere does not exist");
    let warnings = tenant.warnings().await;
    assert_eq!(warnings, ["lost WorkloadNotFound"]);
}

#[tokio::test]
async fn a_stateful_set_is_injected_where_the_app_wants_it() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.workload::<StatefulSet>("flows", template()).await;
    tenant.sync(json!({})).await;
    let spec = json!({
        "version": "5.3.0", "workloadRef": {"kind": "StatefulSet", "name": "flows"},
        "container": "side", "mountPath": "/run/own",
    });
    tenant.flow_app("flows", spec).await;
    let there = [("side".to_owned(), "/run/own".to_owned())];
    until(tenant.api::<StatefulSet>(), "flows", "mounts", |set| mounts(set) == there).await;
    let app = tenant.until_app("flows", "Injected", "True/Injected").await;
    assert_eq!(app_message(&app, "Injected"), "StatefulSet flows mounts Secret secrets at /run/own");
}

#[tokio::test]
async fn an_injection_follows_the_spec_and_the_syncs_target() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.ingest(json!({"mountPath": "/run/other"})).await;
    tenant.until_mounted(&[("node-red", "/run/other")]).await;
    tenant.ingest(json!({"container": "side"})).await;
    tenant.until_mounted(&[("side", "/var/run/spacesync")]).await;
    tenant.sync(json!({"target": {"name": "renamed"}})).await;
    until(tenant.api::<Deployment>(), "ingest", "the other Secret", |d| {
        mounted_secret(d).as_deref() == Some("renamed")
    })
    .await;
}

#[tokio::test]
async fn what_the_users_own_manifest_declares_is_adopted_and_nothing_is_written() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = tenant.workload::<Deployment>("ingest", declared()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    // Also when it goes: there is nothing of ours in it.
    tenant.delete::<FlowApp>("ingest").await;
    tenant.app_for("other", json!({"workloadRef": {"name": "none"}})).await;
    tenant.until_app("other", "Ready", "False/WorkloadNotFound").await;
    let after = tenant.api::<Deployment>().get("ingest").await.unwrap();
    assert_eq!(after.metadata.labels, before.metadata.labels);
    assert_eq!(pod_template(&after), pod_template(&before));
    assert!(!managers(&after).contains(&"spacesync-inject".to_owned()), "{:?}", managers(&after));
    assert!(!tenant.requests().contains(&"patch deployments/ingest".to_owned()), "{:?}", tenant.requests());
}

#[tokio::test]
async fn what_a_declaration_lacks_is_added_and_only_that_is_taken_back() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let mut half = template();
    let mut theirs = volume();
    theirs["projected"]["sources"].as_array_mut().unwrap().reverse();
    half["spec"]["volumes"].as_array_mut().unwrap().push(theirs);
    let before = tenant.workload::<Deployment>("ingest", half).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    let injected = tenant.until_mounted(MOUNTED).await;
    let volumes = |deployment: &Deployment| pod_template(deployment)["spec"]["volumes"].clone();
    assert_eq!(volumes(&injected), volumes(&before));
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.delete::<FlowApp>("ingest").await;
    let after = tenant.until_mounted(&[]).await;
    assert_eq!(pod_template(&after), pod_template(&before));
}

#[tokio::test]
async fn a_volume_of_our_name_and_another_shape_is_refused_and_left_alone_until_it_goes() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let mut theirs = template();
    theirs["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "spacesync", "emptyDir": {}}));
    let before = tenant.workload::<Deployment>("ingest", theirs).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    let app = tenant.until_app("ingest", "Ready", "False/VolumeConflict").await;
    assert_eq!(app_condition(&app, "Stalled"), "True/VolumeConflict");
    let note = tenant.until_event("FlowApp", "ingest", "Warning", "VolumeConflict").await;
    assert_eq!(note, "Deployment ingest has a volume spacesync of another shape; rename or remove it");
    let after = tenant.api::<Deployment>().get("ingest").await.unwrap();
    assert_eq!(pod_template(&after), pod_template(&before));
    let volumes = json!({"spec": {"template": {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}}});
    tenant.patch::<Deployment>("ingest", volumes).await;
    tenant.until_mounted(MOUNTED).await;
    let app = tenant.until_app("ingest", "Ready", "True/Ready").await;
    assert_eq!(app_condition(&app, "Stalled"), "");
}

#[tokio::test]
async fn another_mount_at_our_path_and_a_container_that_is_not_there_are_refused() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({"mountPath": "/data"})).await;
    let app = tenant.until_app("ingest", "Ready", "False/MountConflict").await;
    let expected =
        "container node-red of Deployment ingest mounts something else at /data; choose another spec.mountPath";
    assert_eq!(app_message(&app, "Ready"), expected);
    tenant.ingest(json!({"container": "ghost"})).await;
    let app = tenant.until_app("ingest", "Ready", "False/ContainerNotFound").await;
    assert_eq!(app_message(&app, "Ready"), "Deployment ingest has no container ghost; correct spec.container");
    assert_eq!(mounts(&tenant.api::<Deployment>().get("ingest").await.unwrap()), []);
    tenant.ingest(json!({})).await;
    tenant.until_mounted(MOUNTED).await;
}

#[tokio::test]
async fn a_flow_app_that_goes_takes_back_exactly_what_was_ours() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    tenant.until_mounted(MOUNTED).await;
    let mut own = template()["spec"]["containers"][0]["env"].clone();
    own.as_array_mut().unwrap().push(json!({"name": "B", "value": "2"}));
    tenant
        .world
        .plane
        .kubectl(&["-n", &tenant.name, "set", "env", "deployment/ingest", "-c", "node-red", "B=2"])
        .unwrap();
    tenant.delete::<FlowApp>("ingest").await;
    let after = tenant.until_mounted(&[]).await;
    let mut expected = pod_template(&before);
    expected["spec"]["containers"][0]["env"] = own;
    assert_eq!(pod_template(&after), expected);
    assert!(!after.labels().contains_key("spacesync.dev/flow-app"));
    let note = tenant.until_event("Deployment", "ingest", "Normal", "Withdrawn").await;
    assert!(note.contains("FlowApp ingest has gone") && note.ends_with("it rolls once"), "{note}");
}

#[tokio::test]
async fn a_flow_app_that_is_deleted_and_made_again_rolls_nothing() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let injected = tenant.with_ingest().await;
    let first = tenant.api::<FlowApp>().get("ingest").await.unwrap();
    for _ in 0..2 {
        tenant.delete::<FlowApp>("ingest").await;
        // Long enough for the operator to have seen it.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        tenant.ingest(json!({})).await;
        let app = tenant.until_app("ingest", "Ready", "True/Ready").await;
        assert_ne!(app.uid(), first.uid());
    }
    // Past the time at which the first would have been withdrawn.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let after = tenant.api::<Deployment>().get("ingest").await.unwrap();
    assert_eq!(after.metadata.generation, injected.metadata.generation, "{:?}", tenant.requests());
    assert_eq!(tenant.patches_of_ingest(), 2, "applied once, and its container given up: {:?}", tenant.requests());
}

#[tokio::test]
async fn another_workload_of_an_app_is_injected_and_the_earlier_one_let_go() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.workload::<StatefulSet>("flows", template()).await;
    tenant.ingest(json!({"workloadRef": {"kind": "StatefulSet", "name": "flows"}})).await;
    tenant.until_mounted(&[]).await;
    until(tenant.api::<StatefulSet>(), "flows", "it is injected", |set| mounts(set).len() == 1).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
}

#[tokio::test]
async fn a_workload_that_comes_later_is_injected_when_it_comes_and_again_when_it_is_made_anew() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    let app = tenant.until_app("ingest", "Ready", "False/WorkloadNotFound").await;
    assert_eq!(app_message(&app, "Ready"), "Deployment ingest does not exist");
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.until_mounted(MOUNTED).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.delete::<Deployment>("ingest").await;
    tenant.until_app("ingest", "Ready", "False/WorkloadNotFound").await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.until_mounted(MOUNTED).await;
}

#[tokio::test]
async fn nothing_is_injected_without_a_sync_and_an_injection_stays_when_the_sync_goes() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = tenant.workload::<Deployment>("ingest", template()).await;
    tenant.ingest(json!({})).await;
    tenant.until_app("ingest", "Ready", "False/NoSync").await;
    assert_eq!(pod_template(&tenant.api::<Deployment>().get("ingest").await.unwrap()), pod_template(&before));
    tenant.sync(json!({})).await;
    tenant.until_mounted(MOUNTED).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.delete::<SpaceSecretSync>("secrets").await;
    let app = tenant.until_app("ingest", "Ready", "False/NoSync").await;
    assert_eq!(app_condition(&app, "Injected"), "True/Injected");
    assert_eq!(mounts(&tenant.api::<Deployment>().get("ingest").await.unwrap()).len(), 1);
}

#[tokio::test]
async fn of_two_apps_for_one_workload_the_older_has_it_until_it_goes_and_the_workload_rolls_once() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    // Creation times have whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    tenant.app_for("another", json!({})).await;
    let app = tenant.until_app("another", "Ready", "False/WorkloadTaken").await;
    assert_eq!(app_message(&app, "Ready"), "Deployment ingest belongs to the older FlowApp ingest");
    tenant.delete::<FlowApp>("ingest").await;
    let labelled = |d: &Deployment| d.labels().get("spacesync.dev/flow-app").map(String::as_str) == Some("another");
    let handed = until(tenant.api::<Deployment>(), "ingest", "it is the other's", labelled).await;
    assert_eq!(mounts(&handed).len(), 1);
    tenant.until_app("another", "Ready", "True/Ready").await;
    assert_eq!(tenant.patches_of_ingest(), 4, "two for each app and never a withdrawal: {:?}", tenant.requests());
}

#[tokio::test]
async fn of_two_syncs_for_one_app_the_older_serves_it_and_the_other_says_so() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    tenant.sync_named("younger", json!({})).await;
    let told = |sync: &SpaceSecretSync| condition(sync, "Delivered") == "False/FlowAppTaken";
    let younger = until(tenant.api::<SpaceSecretSync>(), "younger", "FlowAppTaken", told).await;
    let expected = "FlowApp ingest is served by the older sync secrets; narrow spec.flowApps.selector";
    assert_eq!(message(&younger, "Delivered"), expected);
    assert_eq!(condition(&younger, "Ready"), "True/Synced");
    tenant.delete::<SpaceSecretSync>("secrets").await;
    let theirs = |d: &Deployment| mounted_secret(d).as_deref() == Some("younger");
    until(tenant.api::<Deployment>(), "ingest", "the other's Secret", theirs).await;
    let served = |sync: &SpaceSecretSync| condition(sync, "Delivered") == "True/NoPods";
    until(tenant.api::<SpaceSecretSync>(), "younger", "it serves the app", served).await;
}

#[tokio::test]
async fn a_selector_chooses_the_apps_of_a_sync() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({"flowApps": {"selector": {"matchLabels": {"tier": "front"}}}})).await;
    tenant.ingest(json!({})).await;
    tenant.until_app("ingest", "Ready", "False/NoSync").await;
    tenant.patch::<FlowApp>("ingest", json!({"metadata": {"labels": {"tier": "front"}}})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
}

#[tokio::test]
async fn below_5_3_0_the_volume_is_injected_and_the_status_says_who_shows_the_secrets() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({"version": "v5.2.9"})).await;
    let app = tenant.until_app("ingest", "Supported", "False/LegacyNodeServes").await;
    assert!(app_message(&app, "Supported").contains("version v5.2.9 is below 5.3.0"));
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.until_mounted(MOUNTED).await;
    for version in ["v5.3.0-rc.1", "5.3.0"] {
        tenant.ingest(json!({"version": version})).await;
        let seen = |app: &FlowApp| app_message(app, "Supported").contains(version);
        let app = until(tenant.api::<FlowApp>(), "ingest", version, seen).await;
        assert_eq!(app_condition(&app, "Supported"), "True/PluginServes");
    }
}

#[tokio::test]
async fn another_workload_of_the_same_name_is_not_reached_by_an_injection_for_the_old_one() {
    let tenant = World::shared().tenant(&[]).await;
    let api = tenant.api::<Deployment>();
    let apply = async |name: &str, uid: &str| {
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "uid": uid}});
        let refused = api.patch(name, &PatchParams::apply("test-inject"), &Patch::Apply(body)).await;
        let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
        (status.code, status.message.clone())
    };
    tenant.workload::<Deployment>("ingest", template()).await;
    // The words by which the operator knows it.
    let (code, message) = apply("ingest", "another").await;
    assert!(code == 409 || (code == 422 && message.contains("metadata.uid: ")), "{code} {message}");
    let (code, message) = apply("absent", "another").await;
    assert!(code == 409 && !message.starts_with("Apply failed"), "{code} {message}");
}

#[tokio::test]
async fn an_uninstall_changes_no_workload_and_neither_does_installing_again() {
    let world = World::start(devcluster::AuditLevel::Metadata);
    let mut operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let injected = tenant.api::<Deployment>().get("ingest").await.unwrap();
    world.plane.kubectl(&["delete", "crd", "flowapps.spacesync.dev", "--timeout=20s"]).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let crds = format!("{}/crds", env!("CARGO_MANIFEST_DIR"));
    world.plane.kubectl(&["apply", "--server-side", "-k", &crds]).unwrap();
    world.plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"]).unwrap();
    let operator = world.successor(&mut operator).await;
    let after = tenant.api::<Deployment>().get("ingest").await.unwrap();
    assert_eq!(mounts(&after).len(), 1, "{}", operator.log());
    assert_eq!(after.metadata.labels, injected.metadata.labels);
}

#[tokio::test]
async fn what_went_while_nobody_led_is_withdrawn_at_the_start() {
    let world = World::start(devcluster::AuditLevel::Metadata);
    let mut operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    operator.kill();
    tenant.delete::<FlowApp>("ingest").await;
    assert_eq!(mounts(&tenant.api::<Deployment>().get("ingest").await.unwrap()).len(), 1);
    let _operator = world.operator(&[]);
    tenant.until_mounted(&[]).await;
}

#[tokio::test]
async fn a_workload_that_changes_in_other_ways_is_read_and_not_written() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let scaled = tenant.patch::<Deployment>("ingest", json!({"spec": {"minReadySeconds": 3}})).await;
    let seen = |app: &FlowApp| {
        let workload = app.status.as_ref().and_then(|status| status.workload.as_ref());
        workload.map(|workload| workload.generation) >= scaled.metadata.generation
    };
    until(tenant.api::<FlowApp>(), "ingest", "it was seen", seen).await;
    assert_eq!(tenant.patches_of_ingest(), 2, "{:?}", tenant.requests());
    assert_ne!(version_of(&scaled), "");
}
