//! Who has a namespace, and what a space leaves in it.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value as Json, json};
use spacesync::resources::{
    Space, SpaceSecretSync,
    condition::find,
    space::{BindingState, NamespaceStatus},
};

use crate::{
    tenant::{Tenant, until, until_gone, values},
    world::{SYSTEM, World},
};

const API: &str = "spacesync-api";

fn spaces(tenant: &Tenant<'_>) -> Api<Space> {
    Api::all(tenant.client.clone())
}

/// `Ready` of a Space: status, reason and message.
fn ready(space: &Space) -> String {
    let conditions = space.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    find(&conditions, "Ready").map(|c| format!("{}/{}: {}", c.status, c.reason, c.message)).unwrap_or_default()
}

fn row<'a>(space: &'a Space, namespace: &str) -> Option<&'a NamespaceStatus> {
    space.status.iter().flat_map(|status| &status.namespaces).find(|entry| entry.name == namespace)
}

async fn until_ready(tenant: &Tenant<'_>, name: &str, expected: &str) -> Space {
    until(spaces(tenant), name, expected, |space| ready(space).starts_with(expected)).await
}

/// A second space that claims the tenant's namespace, with an entry of its own.
async fn rival(tenant: &Tenant<'_>, spec: Json) -> String {
    let name = format!("{}-rival", tenant.name);
    let mut body = json!({"spec": {"namespaces": [tenant.name], "secretManagerRef": {"name": "embedded"}}});
    crate::tenant::merge(&mut body["spec"], spec);
    tenant.apply(&spaces(tenant), &name, body).await;
    let data = json!({"stringData": {"A": "of the rival"}});
    tenant.apply(&tenant.own(), &format!("space-{name}"), data).await;
    name
}

async fn annotate_space(tenant: &Tenant<'_>, name: &str, take_over: Option<&str>) {
    let patch = json!({"metadata": {"annotations": {"spacesync.dev/take-over": take_over}}});
    spaces(tenant).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

async fn patch_space(tenant: &Tenant<'_>, name: &str, spec: Json) {
    spaces(tenant).patch(name, &PatchParams::default(), &Patch::Merge(&json!({"spec": spec}))).await.unwrap();
}

/// Events come a little after the status.
async fn until_warned(tenant: &Tenant<'_>, about: &str, reason: &str) {
    let events = Api::<Event>::default_namespaced(tenant.client.clone());
    for _ in 0..100 {
        let list = events.list(&ListParams::default()).await.unwrap();
        let is_it =
            |event: &Event| event.type_.as_deref() == Some("Warning") && event.reason.as_deref() == Some(reason);
        if list.iter().any(|event| event.involved_object.name.as_deref() == Some(about) && is_it(event)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no Warning {reason} about {about}");
}

/// Whether an object stays as it is for as long as a mistake would take to show.
async fn stays<K>(api: Api<K>, name: &str)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let before = api.get(name).await.unwrap().resource_version();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(api.get(name).await.unwrap().resource_version(), before, "{name} was written");
}

fn tells_the_address(config_map: &ConfigMap) -> bool {
    let data = config_map.data.clone().unwrap_or_default();
    data.get("url").is_some_and(|url| url == "https://spacesync.spacesync-system.svc:8443")
        && data.get("ca.crt").is_some_and(|ca| ca.starts_with("-----BEGIN CERTIFICATE-----"))
}

async fn until_told(tenant: &Tenant<'_>) -> ConfigMap {
    until(tenant.api::<ConfigMap>(), API, "it tells the address of the pods' API", tells_the_address).await
}

#[tokio::test]
async fn each_bound_namespace_is_told_where_the_pods_api_is() {
    let tenant = World::shared().tenant(&[]).await;
    let config_map = until_told(&tenant).await;
    assert_eq!(config_map.labels()["app.kubernetes.io/managed-by"], "spacesync");
    let space = until_ready(&tenant, &tenant.name, "True/Bound: 1 namespaces are bound").await;
    assert_eq!(space.status.unwrap().summary.as_deref(), Some("1/1"));
}

#[tokio::test]
async fn the_config_map_is_put_back_when_it_is_edited_deleted_or_made_immutable() {
    let tenant = World::shared().tenant(&[]).await;
    let first = until_told(&tenant).await;
    let edit = json!({"data": {"url": "https://evil.example"}});
    tenant.patch::<ConfigMap>(API, edit).await;
    until_told(&tenant).await;
    let claimed = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": API}, "data": {"url": "https://evil.example"},
    });
    // By somebody who says that he is us.
    let ours = PatchParams::apply("spacesync-api").force();
    tenant.api::<ConfigMap>().patch(API, &ours, &Patch::Apply(&claimed)).await.unwrap();
    until_told(&tenant).await;
    tenant.delete::<ConfigMap>(API).await;
    let uid = first.metadata.uid;
    let second =
        until(tenant.api::<ConfigMap>(), API, "a new one", |c| c.metadata.uid != uid && tells_the_address(c)).await;
    let uid = second.metadata.uid;
    tenant.patch::<ConfigMap>(API, json!({"immutable": true, "data": {"url": "https://evil.example"}})).await;
    until(tenant.api::<ConfigMap>(), API, "a new one", |c| c.metadata.uid != uid && tells_the_address(c)).await;
    until_ready(&tenant, &tenant.name, "True/Bound").await;
    stays(tenant.api::<ConfigMap>(), API).await;
    stays(spaces(&tenant), &tenant.name).await;
}

#[tokio::test]
async fn a_config_map_of_that_name_that_is_not_ours_is_refused_and_left_alone() {
    let tenant = Tenant::unbound(World::shared()).await;
    let mut theirs = ConfigMap::default();
    theirs.metadata.name = Some(API.into());
    // Another tool's, by the same label.
    theirs.labels_mut().insert("app.kubernetes.io/managed-by".into(), "Helm".into());
    let theirs = tenant.api::<ConfigMap>().create(&PostParams::default(), &theirs).await.unwrap();
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.space(json!({})).await;
    let expected =
        format!("False/ConfigMapConflict: ConfigMap spacesync-api in {} exists and is not ours", tenant.name);
    until_ready(&tenant, &tenant.name, &expected).await;
    let now = tenant.api::<ConfigMap>().get(API).await.unwrap();
    assert_eq!(now.resource_version(), theirs.resource_version());
    tenant.delete::<ConfigMap>(API).await;
    until_told(&tenant).await;
    until_ready(&tenant, &tenant.name, "True/Bound").await;
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_yet_is_bound_when_it_appears() {
    let mut tenant = World::shared().tenant(&[("A", "1")]).await;
    let space = tenant.name.clone();
    let later = format!("{space}-later");
    patch_space(&tenant, &space, json!({"namespaces": [later]})).await;
    until_ready(&tenant, &space, &format!("False/NamespaceNotFound: bound as soon as they exist: {later}")).await;
    tenant.apply(&Api::<Namespace>::all(tenant.client.clone()), &later, json!({})).await;
    until_ready(&tenant, &space, "True/Bound").await;
    tenant.name = later;
    until_told(&tenant).await;
}

#[tokio::test]
async fn a_claimant_waits_for_the_holder_and_goes_on_waiting_when_it_is_deleted_until_an_admin_decides() {
    let tenant = World::shared().tenant(&[("A", "of the holder")]).await;
    until_ready(&tenant, &tenant.name, "True/Bound").await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "of the holder")]).await;
    let rival = rival(&tenant, json!({})).await;
    let waiting = until_ready(&tenant, &rival, "False/Waiting").await;
    let row = row(&waiting, &tenant.name).unwrap();
    assert_eq!((row.state, row.waiting_for.as_deref()), (BindingState::Waiting, Some(tenant.name.as_str())));
    assert_eq!(waiting.status.as_ref().unwrap().summary.as_deref(), Some("0/1"));
    until_warned(&tenant, &rival, "Waiting").await;
    // The holder goes, and may come back by GitOps: nothing moves.
    spaces(&tenant).delete(&tenant.name, &DeleteParams::default()).await.unwrap();
    tenant.until_condition("Ready", "False/NamespaceNotBound").await;
    stays(spaces(&tenant), &rival).await;
    assert_eq!(values(&tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "of the holder");
    annotate_space(&tenant, &rival, Some(&tenant.name)).await;
    until_ready(&tenant, &rival, "True/Bound").await;
    tenant.until_secret(&[("A", "of the rival")]).await;
    // Whoever comes back now waits in turn, also when the annotation is gone.
    annotate_space(&tenant, &rival, None).await;
    tenant.space(json!({})).await;
    until_ready(&tenant, &tenant.name, &format!("False/Waiting: {} (Space {rival})", tenant.name)).await;
}

#[tokio::test]
async fn a_take_over_from_a_living_holder_brings_the_other_space_and_nothing_flaps() {
    let tenant = World::shared().tenant(&[("A", "of the holder")]).await;
    until_ready(&tenant, &tenant.name, "True/Bound").await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "of the holder")]).await;
    let rival = rival(&tenant, json!({})).await;
    until_ready(&tenant, &rival, "False/Waiting").await;
    annotate_space(&tenant, &rival, Some(&tenant.name)).await;
    until_ready(&tenant, &rival, "True/Bound").await;
    until_ready(&tenant, &tenant.name, "False/Waiting").await;
    tenant.until_secret(&[("A", "of the rival")]).await;
    until_told(&tenant).await;
    // The former holder claims it back without an admin having taken the first word away.
    annotate_space(&tenant, &tenant.name, Some(&tenant.name)).await;
    stays(spaces(&tenant), &rival).await;
    annotate_space(&tenant, &rival, None).await;
    until_ready(&tenant, &rival, "False/Waiting").await;
    tenant.until_secret(&[("A", "of the holder")]).await;
}

#[tokio::test]
async fn a_claimant_has_the_namespace_as_soon_as_the_holder_lets_go_of_it() {
    let tenant = World::shared().tenant(&[]).await;
    until_ready(&tenant, &tenant.name, "True/Bound").await;
    let rival = rival(&tenant, json!({})).await;
    until_ready(&tenant, &rival, "False/Waiting").await;
    patch_space(&tenant, &tenant.name, json!({"namespaces": []})).await;
    until_ready(&tenant, &rival, "True/Bound").await;
    until_ready(&tenant, &tenant.name, "True/Bound: 0 namespaces").await;
    until_told(&tenant).await;
}

#[tokio::test]
async fn a_namespace_that_leaves_keeps_its_secrets_and_is_no_longer_told_where_the_pods_api_is() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    until_told(&tenant).await;
    patch_space(&tenant, &tenant.name, json!({"namespaces": []})).await;
    until_gone(tenant.api::<ConfigMap>(), API).await;
    let space = until_ready(&tenant, &tenant.name, "True/Bound: 0 namespaces").await;
    assert_eq!(row(&space, &tenant.name), None);
    tenant.until_condition("Ready", "False/NamespaceNotBound").await;
    stays(tenant.api::<Secret>(), "secrets").await;
}

#[tokio::test]
async fn a_namespace_that_leaves_a_space_of_the_policy_delete_loses_its_managed_secrets_and_no_other() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    patch_space(&tenant, &tenant.name, json!({"onUnbind": "Delete"})).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let theirs = json!({"stringData": {"A": "theirs"}});
    tenant.apply(&tenant.api::<Secret>(), "theirs", theirs).await;
    patch_space(&tenant, &tenant.name, json!({"namespaces": []})).await;
    until_gone(tenant.api::<Secret>(), "secrets").await;
    until_gone(tenant.api::<ConfigMap>(), API).await;
    until(spaces(&tenant), &tenant.name, "the namespace is forgotten", |space| row(space, &tenant.name).is_none())
        .await;
    assert!(tenant.api::<Secret>().get_opt("theirs").await.unwrap().is_some());
    assert!(tenant.api::<SpaceSecretSync>().get_opt("secrets").await.unwrap().is_some());
}

#[tokio::test]
async fn a_deleted_space_leaves_everything_as_it_is() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    patch_space(&tenant, &tenant.name, json!({"onUnbind": "Delete"})).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    until_told(&tenant).await;
    spaces(&tenant).delete(&tenant.name, &DeleteParams::default()).await.unwrap();
    tenant.until_condition("Ready", "False/NamespaceNotBound").await;
    stays(tenant.api::<Secret>(), "secrets").await;
    assert!(tenant.api::<ConfigMap>().get_opt(API).await.unwrap().is_some());
}

#[tokio::test]
async fn the_operators_own_namespace_is_refused() {
    let tenant = World::shared().tenant(&[]).await;
    patch_space(&tenant, &tenant.name, json!({"namespaces": [SYSTEM, tenant.name]})).await;
    let expected = format!("False/OperatorNamespace: namespace {SYSTEM} is the operator's own and cannot be bound");
    let space = until_ready(&tenant, &tenant.name, &expected).await;
    assert_eq!(row(&space, SYSTEM).unwrap().state, BindingState::Refused);
    assert_eq!(row(&space, &tenant.name).unwrap().state, BindingState::Bound);
    let own = Api::<ConfigMap>::namespaced(tenant.client.clone(), SYSTEM);
    assert!(own.get_opt(API).await.unwrap().is_none());
}

#[tokio::test]
async fn a_space_whose_secret_manager_is_missing_says_so_and_heals() {
    let tenant = World::shared().tenant(&[]).await;
    let manager = format!("{}-manager", tenant.name);
    patch_space(&tenant, &tenant.name, json!({"secretManagerRef": {"name": manager}})).await;
    let expected = format!(
        "False/SecretManagerNotFound: Space {} names SecretManager {manager}, which does not exist",
        tenant.name
    );
    until_ready(&tenant, &tenant.name, &expected).await;
    tenant.manager(&manager, json!({"kubernetes": {}})).await;
    until_ready(&tenant, &tenant.name, "True/Bound").await;
}
