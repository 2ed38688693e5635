//! What a tenant may not do at all.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use spacesync::resources::{Space, SpaceSecretSync, space::BindingState};

use super::{
    editor::{code, create, editor, may},
    fields::{leaves_of, set},
    objects::{config_map, deployment, pod, secret, sync, whole_app, whole_sync},
};
use crate::{
    tenant::{Tenant, condition, until},
    world::{SYSTEM, World},
};

#[tokio::test]
async fn a_tenant_cannot_write_a_status() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let editor = editor(&tenant).await;
    create(&editor, &tenant.name, sync("secrets", &json!({"suspend": true}))).await.expect("a sync");
    create(&editor, &tenant.name, whole_app("app")).await.expect("a FlowApp");
    for (kind, name) in [("SpaceSecretSync", "secrets"), ("FlowApp", "app")] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("spacesync.dev", "v1alpha1", kind));
        let api = Api::<DynamicObject>::namespaced_with(editor.clone(), &tenant.name, &resource);
        for leaf in leaves_of(kind, "status") {
            let mut patch = json!({});
            set(&mut patch, &leaf.path, "x");
            let answer = api.patch_subresource("status", name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            assert_eq!(code(answer).err(), Some(403), "{kind} {}", leaf.path.join("."));
        }
        assert!(!may(&editor, &tenant.name, "update", &format!("{}/status", resource.plural)).await);
    }
}

#[tokio::test]
async fn a_tenant_has_no_rights_beyond_its_namespace() {
    let (tenant, other) = (World::shared().tenant(&[]).await, World::shared().tenant(&[("A", "1")]).await);
    let editor = editor(&tenant).await;
    for namespace in [&other.name, SYSTEM] {
        for make in [whole_sync, whole_app, secret, config_map, pod, deployment] {
            assert_eq!(create(&editor, namespace, make("planted")).await, Err(403), "in {namespace}");
        }
        let secrets = Api::<Secret>::namespaced(editor.clone(), namespace);
        assert_eq!(code(secrets.list(&ListParams::default()).await).err(), Some(403));
        assert_eq!(code(secrets.get(&format!("space-{}", other.name)).await).err(), Some(403));
    }
    for kind in ["Space", "SecretManager"] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("spacesync.dev", "v1alpha1", kind));
        let api = Api::<DynamicObject>::all_with(editor.clone(), &resource);
        assert_eq!(code(api.list(&ListParams::default()).await).err(), Some(403), "list {kind}");
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"spacesync.dev/take-over": tenant.name}}}));
        let patched = api.patch(&other.name, &PatchParams::default(), &patch).await;
        assert_eq!(code(patched).err(), Some(403), "patch {kind}");
        let planted = DynamicObject::new("planted", &resource);
        assert_eq!(code(api.create(&PostParams::default(), &planted).await).err(), Some(403), "create {kind}");
    }
}

#[tokio::test]
async fn a_tenants_secret_does_not_move_the_version_of_another_space() {
    let other = Tenant::unbound(World::shared()).await;
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    // Suspended, so that it leaves the Secret that it would put right.
    tenant.sync(json!({"suspend": true})).await;
    let marks = json!({
        "labels": {"spacesync.dev/sync": "secrets", "spacesync.dev/space": other.name},
        "annotations": {"spacesync.dev/revision": "9000-0123456789abcdef"},
    });
    tenant.apply(&tenant.api::<Secret>(), "secrets", json!({"metadata": marks})).await;
    tenant.sync_named("seen", json!({})).await;
    until(tenant.api::<SpaceSecretSync>(), "seen", "synced", |sync| condition(sync, "Ready") == "True/Synced").await;

    other.manager("embedded", json!({"kubernetes": {}})).await;
    other.entry(&[("A", "1")]).await;
    other.space(json!({})).await;
    other.sync(json!({})).await;
    let status = other.until_status("synced", |status| status.version.is_some()).await;
    assert_eq!(status.version, Some(1));
}

#[tokio::test]
async fn a_space_cannot_have_the_operators_own_namespace() {
    let tenant = Tenant::unbound(World::shared()).await;
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.entry(&[("A", "1")]).await;
    tenant.space(json!({"namespaces": [SYSTEM, tenant.name]})).await;
    let syncs = Api::<SpaceSecretSync>::namespaced(tenant.client.clone(), SYSTEM);
    tenant.apply(&syncs, &tenant.name, json!({"spec": {}})).await;
    let sync =
        until(syncs.clone(), &tenant.name, "refused", |sync| condition(sync, "Ready") == "False/NamespaceNotBound");
    assert_eq!(sync.await.status.unwrap().target, None);
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let space = until(Api::<Space>::all(tenant.client.clone()), &tenant.name, "it is said", |space| {
        space.status.as_ref().is_some_and(|status| status.namespaces.len() == 2)
    });
    for namespace in space.await.status.unwrap().namespaces {
        let expected = if namespace.name == SYSTEM { BindingState::Refused } else { BindingState::Bound };
        assert_eq!(namespace.state, expected, "{}", namespace.name);
    }
    assert!(tenant.own().get_opt(&tenant.name).await.unwrap().is_none());
    syncs.delete(&tenant.name, &DeleteParams::default()).await.unwrap();
}
