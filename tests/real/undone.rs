//! An injection that somebody undid is put back, whatever the kind of the workload, and taken back whole when it is to go.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::{Deployment, StatefulSet},
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use spacesync::resources::FlowApp;

use crate::{
    tenant::{PATIENCE, Tenant, until},
    workload::{app_message, mounts, template},
    world::{OPERATOR_USER, World},
};

const MOUNT: (&str, &str) = ("node-red", "/var/run/spacesync");

/// A Deployment or a StatefulSet.
trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + 'static
{
}
impl Workload for Deployment {}
impl Workload for StatefulSet {}

/// What a user keeps in a file: a workload `ingest` with this template.
fn manifest<W: Workload>(tenant: &Tenant<'_>, template: &Json) -> String {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": W::kind(&()), "metadata": {"name": "ingest", "namespace": tenant.name},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "ingest"}}, "template": template},
    });
    if W::kind(&()) == "StatefulSet" {
        object["spec"]["serviceName"] = "ingest".into();
    }
    object.to_string()
}

fn pod_template<W: Workload>(workload: &W) -> Json {
    serde_json::to_value(workload).unwrap()["spec"]["template"].clone()
}

/// Makes the workload with `kubectl` and these words, and waits until its injection is in order.
async fn injected<'w, W: Workload>(words: &[&str]) -> Tenant<'w> {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.world.plane.kubectl_stdin(words, &manifest::<W>(&tenant, &template())).unwrap();
    tenant.sync(json!({})).await;
    tenant.ingest(json!({"workloadRef": {"kind": W::kind(&()), "name": "ingest"}})).await;
    until_mounted::<W>(&tenant, MOUNT, 0).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant
}

/// Waits until a later generation than this mounts exactly there, and is found by its label.
async fn until_mounted<W: Workload>(tenant: &Tenant<'_>, mount: (&str, &str), after: i64) -> W {
    let expected = [(mount.0.to_owned(), mount.1.to_owned())];
    until(tenant.api::<W>(), "ingest", &format!("mounts {expected:?} after {after}"), |found| {
        found.meta().generation > Some(after)
            && mounts(found) == expected
            && found.labels().contains_key("spacesync.dev/flow-app")
    })
    .await
}

async fn generation<W: Workload>(tenant: &Tenant<'_>) -> i64 {
    tenant.api::<W>().get("ingest").await.unwrap().meta().generation.unwrap()
}

/// `kubectl rollout undo` to the revision before the injection, then `kubectl replace` with what the user's file says.
async fn undo_and_replace<W: Workload>() {
    let tenant = injected::<W>(&["create", "-f", "-"]).await;
    let (plane, kind) = (&tenant.world.plane, W::kind(&()).to_lowercase());
    let workload = format!("{kind}/ingest");
    let history = ["-n", &tenant.name, "rollout", "history", &workload];
    // The controller notes each template as a revision, a moment after it was applied.
    let began = std::time::Instant::now();
    while plane.kubectl(&history).unwrap().lines().filter(|line| line.starts_with(['1', '2'])).count() < 2 {
        assert!(began.elapsed() < crate::tenant::PATIENCE, "{}", plane.kubectl(&history).unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let before = generation::<W>(&tenant).await;
    let undone = plane.kubectl(&["-n", &tenant.name, "rollout", "undo", &workload]).unwrap();
    assert!(undone.contains("rolled back"), "{undone}");
    until_mounted::<W>(&tenant, MOUNT, before + 1).await;

    // The workload's controller may write between kubectl's read and its replacement.
    let before = generation::<W>(&tenant).await;
    let text = manifest::<W>(&tenant, &template());
    let replace = || plane.kubectl_stdin(&["replace", "-f", "-"], &text);
    assert!((0..10).any(|_| replace().is_ok()), "{:?}", replace());
    until_mounted::<W>(&tenant, MOUNT, before + 1).await;
}

#[tokio::test]
async fn what_rollout_undo_or_replace_removed_of_a_deployment_is_put_back() {
    undo_and_replace::<Deployment>().await;
}

#[tokio::test]
async fn what_rollout_undo_or_replace_removed_of_a_stateful_set_is_put_back() {
    undo_and_replace::<StatefulSet>().await;
}

/// The user's file names the container otherwise.
async fn rename<W: Workload>() {
    let words = &["apply", "-f", "-"];
    let tenant = injected::<W>(words).await;
    let mut renamed = template();
    renamed["spec"]["containers"][0]["name"] = "nr".into();
    tenant.world.plane.kubectl_stdin(words, &manifest::<W>(&tenant, &renamed)).unwrap();
    until_mounted::<W>(&tenant, ("nr", MOUNT.1), 0).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    // One that the FlowApp names is missed by its name.
    tenant.ingest(json!({"container": "side", "workloadRef": {"kind": W::kind(&()), "name": "ingest"}})).await;
    until_mounted::<W>(&tenant, ("side", MOUNT.1), 0).await;
    renamed["spec"]["containers"][1]["name"] = "aside".into();
    tenant.world.plane.kubectl_stdin(words, &manifest::<W>(&tenant, &renamed)).unwrap();
    let app = tenant.until_app("ingest", "Ready", "False/ContainerNotFound").await;
    assert!(app_message(&app, "Ready").ends_with("ingest has no container side; correct spec.container"));
    tenant.ingest(json!({"container": "aside", "workloadRef": {"kind": W::kind(&()), "name": "ingest"}})).await;
    until_mounted::<W>(&tenant, ("aside", MOUNT.1), 0).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
}

#[tokio::test]
async fn a_container_that_is_renamed_in_a_file_is_found_again() {
    rename::<Deployment>().await;
    rename::<StatefulSet>().await;
}

/// Whether our manager holds a part of a container.
fn holds_a_container<W: Workload>(workload: &W) -> bool {
    let ours = workload.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some("spacesync-inject"));
    let fields = ours.filter_map(|entry| entry.fields_v1.as_ref());
    fields.into_iter().any(|fields| fields.0.pointer("/f:spec/f:template/f:spec/f:containers").is_some())
}

/// The same by server-side apply, whose own manager lets go of the old name: nothing of ours must hold on to it.
async fn rename_server_side<W: Workload>(made: &[&str], words: &[&str]) {
    let tenant = injected::<W>(made).await;
    let (apply, api) = (|text: &str| tenant.world.plane.kubectl_stdin(words, text).unwrap(), tenant.api::<W>());
    let before = api.get("ingest").await.unwrap();
    assert!(!holds_a_container(&before), "{:?}", before.managed_fields());
    // The same file again leaves the injection as it is.
    apply(&manifest::<W>(&tenant, &template()));
    let after = api.get("ingest").await.unwrap();
    assert_eq!(pod_template(&after), pod_template(&before));
    // kubectl's own annotation goes with the first apply on the server, by which the generation of a Deployment moves.
    let moved = after.meta().generation.unwrap() - before.meta().generation.unwrap();
    assert_eq!((moved, mounts(&after).len()), (i64::from(made != words && W::kind(&()) == "Deployment"), 1));
    let mut renamed = template();
    for name in ["nr", "node-red", "app"] {
        renamed["spec"]["containers"][0]["name"] = name.into();
        let before = generation::<W>(&tenant).await;
        apply(&manifest::<W>(&tenant, &renamed));
        until_mounted::<W>(&tenant, (name, MOUNT.1), before).await;
        until(tenant.api::<W>(), "ingest", "the container is the user's again", |found| !holds_a_container(found))
            .await;
    }
    // Where the FlowApp says so, the mount moves, and none stays behind.
    tenant.ingest(json!({"container": "side", "workloadRef": {"kind": W::kind(&()), "name": "ingest"}})).await;
    until_mounted::<W>(&tenant, ("side", MOUNT.1), 0).await;
    let spec =
        json!({"container": "side", "mountPath": "/secrets", "workloadRef": {"kind": W::kind(&()), "name": "ingest"}});
    tenant.ingest(spec).await;
    until_mounted::<W>(&tenant, ("side", "/secrets"), 0).await;
    tenant.delete::<FlowApp>("ingest").await;
    let bare = until(tenant.api::<W>(), "ingest", "nothing of ours", |found| mounts(found).is_empty()).await;
    let template = pod_template(&bare);
    assert_eq!(template["metadata"]["labels"], json!({"app": "ingest"}));
    assert_eq!(template["spec"]["volumes"], json!([{"name": "data", "emptyDir": {}}]));
    assert!(!bare.labels().contains_key("spacesync.dev/flow-app"));
}

#[tokio::test]
async fn a_container_may_be_renamed_by_server_side_apply() {
    let (by_kubectl, by_server) = (["apply", "-f", "-"], ["apply", "--server-side", "-f", "-"]);
    Box::pin(rename_server_side::<Deployment>(&by_server, &by_server)).await;
    // kubectl takes over what it applied by itself before.
    Box::pin(rename_server_side::<Deployment>(&by_kubectl, &by_server)).await;
    Box::pin(rename_server_side::<StatefulSet>(
        &by_server,
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
    ))
    .await;
}

/// As an operator left it that kept its part of the container.
#[tokio::test]
async fn a_part_of_a_container_that_is_still_ours_is_given_up() {
    let tenant = injected::<Deployment>(&["apply", "--server-side", "-f", "-"]).await;
    let api = tenant.api::<Deployment>();
    let before = api.get("ingest").await.unwrap();
    let mut held = json!({"metadata": {"labels": {"spacesync.dev/flow-app": "ingest"}}, "spec": {"template": {
        "metadata": {"labels": {"spacesync.dev/flow-app": "ingest"}},
        "spec": {"containers": [{"name": "node-red", "volumeMounts": [{"name": "spacesync", "mountPath": MOUNT.1}]}]},
    }}});
    held["spec"]["template"]["spec"]["volumes"] = json!([crate::workload::volume()]);
    held["apiVersion"] = "apps/v1".into();
    held["kind"] = "Deployment".into();
    let params = PatchParams::apply("spacesync-inject");
    let held = api.patch("ingest", &params, &Patch::Apply(&held)).await.unwrap();
    assert!(holds_a_container(&held));
    // Whatever lets the operator look.
    tenant.patch::<FlowApp>("ingest", json!({"metadata": {"labels": {"looked": "at"}}})).await;
    let after = until(api, "ingest", "it is given up", |found| !holds_a_container(found)).await;
    assert_eq!((after.meta().generation, pod_template(&after)), (before.meta().generation, pod_template(&before)));
}

/// A policy of the cluster that lets the operator change nothing but the specs of this namespace's Deployments.
async fn with_a_policy_against_giving_up(tenant: &Tenant<'_>) {
    let rule =
        json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["UPDATE"]});
    let ours = format!("request.userInfo.username == '{OPERATOR_USER}' && request.namespace == '{}'", tenant.name);
    let spec = json!({
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "the-operator-here", "expression": ours}],
        // Without a reason of its own it says 422.
        "validations": [{"expression": "object.spec != oldObject.spec", "message": "metadata stays as it is"}],
    });
    let name = format!("stays-{}", tenant.name);
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(tenant.client.clone());
    tenant.apply(&policies, &name, json!({"spec": spec})).await;
    let spec = json!({"policyName": name, "validationActions": ["Deny"]});
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(tenant.client.clone());
    tenant.apply(&bindings, &name, json!({"spec": spec})).await;
    until_probed(tenant, false).await;
}

/// Nothing tells when a policy is in force, or no longer.
async fn until_probed(tenant: &Tenant<'_>, is_allowed: bool) {
    let patch = r#"{"metadata":{"annotations":{"probe":"1"}}}"#;
    let probe = ["patch", "deployment", "ingest", "--namespace", &tenant.name, "--dry-run=server", "-p", patch];
    let probe = [&probe[..], &["--as", OPERATOR_USER]].concat();
    let began = Instant::now();
    while tenant.world.plane.kubectl(&probe).is_ok() != is_allowed {
        assert!(began.elapsed() < PATIENCE, "the policy allows it: {}", !is_allowed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_policy_that_refuses_to_have_a_container_given_up_keeps_no_status_from_being_written() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    with_a_policy_against_giving_up(&tenant).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    until_mounted::<Deployment>(&tenant, MOUNT, 0).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    let now = tenant.api::<Deployment>().get("ingest").await.unwrap();
    assert!(holds_a_container(&now), "the policy refuses it");
    let workload = format!("{}/ingest", tenant.name);
    let said = "our part of its container cannot be given up";
    let log = World::shared_log();
    let mut warnings = log.lines().filter(|line| line.contains(said) && line.contains(&workload));
    assert!(warnings.any(|line| line.contains("denied request")), "no warning");

    // What was never given up is taken back at once: the claim before it changes nothing.
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(tenant.client.clone());
    bindings.delete(&format!("stays-{}", tenant.name), &DeleteParams::default()).await.unwrap();
    until_probed(&tenant, true).await;
    tenant.delete::<FlowApp>("ingest").await;
    let after = until(tenant.api::<Deployment>(), "ingest", "nothing of ours", |found| mounts(found).is_empty()).await;
    assert_eq!(after.metadata.generation, now.metadata.generation.map(|before| before + 1));
}

#[tokio::test]
async fn a_stateful_set_whose_flow_app_goes_gets_back_its_own_template() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let text = manifest::<StatefulSet>(&tenant, &template());
    tenant.world.plane.kubectl_stdin(&["create", "-f", "-"], &text).unwrap();
    let before = tenant.api::<StatefulSet>().get("ingest").await.unwrap();
    tenant.sync(json!({})).await;
    tenant.ingest(json!({"workloadRef": {"kind": "StatefulSet", "name": "ingest"}})).await;
    until_mounted::<StatefulSet>(&tenant, MOUNT, 0).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.delete::<FlowApp>("ingest").await;
    let after = until(tenant.api::<StatefulSet>(), "ingest", "nothing of ours", |set| mounts(set).is_empty()).await;
    assert_eq!(pod_template(&after), pod_template(&before));
    assert!(!after.labels().contains_key("spacesync.dev/flow-app"));
    let note = tenant.until_event("StatefulSet", "ingest", "Normal", "Withdrawn").await;
    assert!(note.ends_with("it rolls once"), "{note}");
}
