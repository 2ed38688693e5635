//! *Sync now* and settings, as the editor's sidebar asks for them.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, SpaceSecretSync};

use super::client::Pod;
use crate::{
    tenant::{Tenant, values},
    world::{OPERATOR_USER, World},
};

async fn pods<'w>(names: &[&str], sync: Json) -> (Tenant<'w>, Vec<Pod>) {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.sync(sync).await;
    let mut pods = Vec::new();
    for name in names {
        tenant.running(name, "ingest").await;
        pods.push(Pod::new(&tenant, name, World::shared_operator()).await);
    }
    (tenant, pods)
}

/// How often the operator wrote the sync itself, not its status. An attempt that met a status of that moment is none.
fn writes(tenant: &Tenant<'_>) -> usize {
    let sync = format!("/namespaces/{}/spacesecretsyncs/secrets?", tenant.name);
    let entries = World::shared().plane.audit_entries().expect("an audit log");
    let written = |entry: &&Json| {
        let is_of_sync = entry["requestURI"].as_str().is_some_and(|uri| format!("{uri}?").contains(&sync));
        let by_operator = entry["user"]["username"] == OPERATOR_USER && entry["stage"] == "ResponseComplete";
        is_of_sync && by_operator && entry["verb"] == "patch" && entry["responseStatus"]["code"] == 200
    };
    entries.iter().filter(written).count()
}

#[tokio::test]
async fn sync_now_brings_what_is_new_and_says_so() {
    let (tenant, pods) = pods(&["a"], json!({"autoSync": "Manual"})).await;
    tenant.until_status("the schedule", |status| json!(status.auto_sync) == "Manual").await;
    tenant.entry(&[("A", "2")]).await;
    let said = pods[0].sync(json!({"trigger": "manual", "wait": 30})).await;
    assert_eq!((said.status, &said.body["state"]), (200, &json!("done")), "{said:?}");
    assert_eq!((&said.body["result"], &said.body["changed"]), (&json!("Synced"), &json!(true)), "{said:?}");
    assert_eq!(said.body["version"], 2);
    assert!(said.body["request"].as_str().unwrap().starts_with("manual/"), "{said:?}");
    let secret = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(values(&secret)["A"], "2");
    assert_eq!(secret.metadata.annotations.unwrap()["spacesync.dev/revision"], said.body["revision"]);
    // Too soon; and then there is nothing new.
    let again = pods[0].sync(json!({"trigger": "manual"})).await;
    assert_eq!(again.problem(), (429, "TooManyRequests"));
    assert!(["1", "2"].contains(&again.header("retry-after")), "{again:?}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let said = pods[0].sync(json!({"trigger": "save", "wait": true})).await;
    assert_eq!((&said.body["state"], &said.body["changed"]), (&json!("done"), &json!(false)), "{said:?}");
    assert!(said.body["request"].as_str().unwrap().starts_with("save/"), "{said:?}");
}

#[tokio::test]
async fn a_sync_that_fails_says_why_and_keeps_the_version() {
    let (tenant, pods) = pods(&["a"], json!({})).await;
    tenant.space(json!({"path": "no-such-entry"})).await;
    let said = pods[0].sync(json!({"trigger": "manual", "wait": 30})).await;
    assert_eq!((said.status, &said.body["state"]), (200, &json!("done")), "{said:?}");
    assert_eq!((&said.body["result"], &said.body["version"]), (&json!("SourceNotFound"), &json!(1)), "{said:?}");
    assert!(said.body["message"].as_str().unwrap().contains("no-such-entry"), "{said:?}");
}

#[tokio::test]
async fn all_pods_that_ask_at_once_join_one_request() {
    let names: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (tenant, pods) = pods(&names, json!({"suspend": true})).await;
    tenant.until_condition("Ready", "True/Suspended").await;
    let before = writes(&tenant);
    let asked = pods.iter().map(|pod| pod.sync(json!({"trigger": "save"})));
    let said = futures::future::join_all(asked).await;
    for one in &said {
        assert_eq!((one.status, &one.body["state"]), (202, &json!("suspended")), "{said:?}");
        assert_eq!(one.body["request"], said[0].body["request"]);
    }
    assert_eq!(writes(&tenant) - before, 1);
    // It is done when it may.
    tenant.sync(json!({"suspend": false})).await;
    let request = said[0].body["request"].as_str().unwrap().to_owned();
    tenant.until_status("handled", |status| status.last_handled_sync_request.as_ref() == Some(&request)).await;
}

#[tokio::test]
async fn a_save_asks_for_nothing_where_sync_on_save_is_off_and_where_no_sync_is() {
    let (tenant, pods) = pods(&["a"], json!({})).await;
    tenant.ingest(json!({"syncOnSave": false})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    crate::tenant::until(tenant.api::<FlowApp>(), "ingest", "off", |app| {
        app.status.as_ref().and_then(|status| status.sync_on_save) == Some(false)
    })
    .await;
    let said = pods[0].sync(json!({"trigger": "save", "wait": 30})).await;
    assert_eq!((said.status, &said.body), (200, &json!({"state": "off"})));
    assert_eq!(writes(&tenant), 0);
    tenant.delete::<SpaceSecretSync>("secrets").await;
    tenant.until_app("ingest", "Ready", "False/NoSync").await;
    assert_eq!(pods[0].sync(json!({"trigger": "manual"})).await.problem(), (409, "NoSync"));
    assert_eq!(pods[0].settings(json!({"autoSync": "1m"})).await.problem(), (409, "NoSync"));
    let status = pods[0].status().await;
    assert_eq!((status.status, &status.body["sync"], &status.body["autoSync"]), (200, &Json::Null, &Json::Null));
    let conditions = status.body["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "Ready" && one["reason"] == "NoSync"), "{conditions:?}");
}

/// Applies as another field manager, as a GitOps controller does.
async fn apply_as(tenant: &Tenant<'_>, manager: &str, spec: Json) {
    let api: Api<SpaceSecretSync> = tenant.api();
    let body = json!({
        "apiVersion": "spacesync.dev/v1alpha1", "kind": "SpaceSecretSync", "metadata": {"name": "secrets"}, "spec": spec,
    });
    api.patch("secrets", &PatchParams::apply(manager).force(), &Patch::Apply(&body)).await.unwrap();
}

#[tokio::test]
async fn settings_are_set_one_by_one_and_given_back() {
    let (tenant, pods) = pods(&["a"], json!({})).await;
    let said = pods[0].settings(json!({"autoSync": "30m"})).await;
    let expected = json!({
        "autoSync": {"value": "30m", "managedBy": null}, "syncOnSave": {"value": true, "managedBy": null},
    });
    assert_eq!((said.status, said.body), (200, expected));
    let said = pods[0].settings(json!({"syncOnSave": false})).await;
    assert_eq!(said.body["autoSync"]["value"], "30m", "{said:?}");
    assert_eq!(said.body["syncOnSave"], json!({"value": false, "managedBy": null}));
    let sync = tenant.until_status("it is in force", |status| json!(status.auto_sync) == "30m").await;
    assert_eq!(
        sync.observed_generation,
        tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap().metadata.generation
    );
    assert_eq!(pods[0].status().await.body["syncOnSave"]["value"], false);
    // The same again is not written.
    let before = writes(&tenant);
    assert_eq!(pods[0].settings(json!({"autoSync": "30m"})).await.status, 200);
    assert_eq!(writes(&tenant), before);
    let said = pods[0].settings(json!({"autoSync": null, "syncOnSave": null})).await;
    assert_eq!(said.status, 200, "{said:?}");
    assert_eq!((&said.body["autoSync"]["value"], &said.body["syncOnSave"]["value"]), (&json!("Live"), &json!(true)));
    assert_eq!(tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap().spec.auto_sync, None);
    assert_eq!(tenant.api::<FlowApp>().get("ingest").await.unwrap().spec.sync_on_save, None);
}

#[tokio::test]
async fn a_field_that_gitops_owns_is_refused_with_its_name_and_nothing_is_set() {
    let (tenant, pods) = pods(&["a"], json!({})).await;
    apply_as(&tenant, "argocd-controller", json!({"autoSync": "60m"})).await;
    tenant.until_status("it is in force", |status| json!(status.auto_sync) == "60m").await;
    let status = pods[0].status().await;
    assert_eq!(status.body["autoSync"], json!({"value": "60m", "managedBy": "argocd-controller"}));
    for wanted in [json!("1m"), json!("60m"), Json::Null] {
        let said = pods[0].settings(json!({"syncOnSave": false, "autoSync": wanted})).await;
        assert_eq!(said.problem(), (409, "FieldOwned"));
        assert_eq!((&said.body["owner"], &said.body["field"]), (&json!("argocd-controller"), &json!("autoSync")));
    }
    let sync = tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap();
    assert_eq!(json!(sync.spec.auto_sync), "60m");
    assert_eq!(tenant.api::<FlowApp>().get("ingest").await.unwrap().spec.sync_on_save, None);
}

#[tokio::test]
async fn what_the_sidebar_set_stays_until_kubectl_apply_says_otherwise() {
    let (tenant, pods) = pods(&["a"], json!({})).await;
    let manifest = |spec: &str| {
        format!(
            "apiVersion: spacesync.dev/v1alpha1\nkind: FlowApp\nmetadata: {{name: ingest, namespace: {}}}\nspec: \
             {{version: 5.3.0, workloadRef: {{kind: Deployment, name: ingest}}{spec}}}\n",
            tenant.name
        )
    };
    let apply = |spec: &str| tenant.world.plane.kubectl_stdin(&["apply", "-f", "-"], &manifest(spec)).unwrap();
    let set = async || tenant.api::<FlowApp>().get("ingest").await.unwrap().spec.sync_on_save;
    apply("");
    assert_eq!(pods[0].settings(json!({"syncOnSave": false})).await.status, 200);
    // A manifest that leaves it out leaves it alone.
    apply("");
    assert_eq!(set().await, Some(false));
    assert_eq!(pods[0].settings(json!({"syncOnSave": null})).await.status, 200);
    apply("");
    assert_eq!(set().await, None);
    // One that names it takes it over.
    assert_eq!(pods[0].settings(json!({"syncOnSave": false})).await.status, 200);
    apply(", syncOnSave: true");
    assert_eq!(set().await, Some(true));
    crate::tenant::until(tenant.api::<FlowApp>(), "ingest", "it is in force", |app| {
        app.status.as_ref().and_then(|status| status.sync_on_save) == Some(true)
    })
    .await;
    let said = pods[0].settings(json!({"syncOnSave": false})).await;
    assert_eq!((said.problem(), &said.body["owner"]), ((409, "FieldOwned"), &json!("kubectl-client-side-apply")));
    assert_eq!(set().await, Some(true));
}
