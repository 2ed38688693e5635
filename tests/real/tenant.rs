//! One test's own namespace, space and entry.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, SecretManager, Space, SpaceSecretSync, SpaceSecretSyncStatus};

use crate::world::{SYSTEM, World};

/// How long anything that comes by itself may take here. Two cores run many tests at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace of the same name as its space and its entry's path.
pub struct Tenant<'w> {
    /// The world it is in.
    pub world: &'w World,
    /// Its client.
    pub client: Client,
    /// The name of all three.
    pub name: String,
}

/// Waits until `holds`, by a watch; `None` in it stands for an object that is not there.
pub async fn until<K>(api: Api<K>, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> K
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let condition = |object: Option<&K>| object.is_some_and(&holds);
    let waiting = await_condition(api.clone(), name, condition);
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(Ok(Some(object))) => object,
        Ok(other) => panic!("waiting for {name} until {what}: {other:?}"),
        Err(_) => {
            let log = crate::world::World::shared_log();
            let log: Vec<_> = log.lines().rev().take(40).collect();
            let log = log.into_iter().rev().collect::<Vec<_>>().join("\n");
            panic!("{name} did not come to: {what}; it is {:#?}\n{log}", api.get_opt(name).await)
        }
    }
}

/// Waits until an object is not there.
pub async fn until_gone<K>(api: Api<K>, name: &str)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let waiting = await_condition(api, name, |object: Option<&K>| object.is_none());
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{name} is still there");
}

/// The reason of a condition, with its status: `False/TooLarge`.
pub fn condition(sync: &SpaceSecretSync, type_: &str) -> String {
    let conditions = sync.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    spacesync::resources::condition::find(&conditions, type_)
        .map(|c| format!("{}/{}", c.status, c.reason))
        .unwrap_or_default()
}

/// The message of a condition.
pub fn message(sync: &SpaceSecretSync, type_: &str) -> String {
    let conditions = sync.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    spacesync::resources::condition::find(&conditions, type_).map(|c| c.message.clone()).unwrap_or_default()
}

/// The values of a Secret as text, without the reserved entry.
pub fn values(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.clone().unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    data.into_iter().filter(|(key, _)| key != ".spacesync.json").map(|(key, value)| (key, text(value.0))).collect()
}

impl<'w> Tenant<'w> {
    /// A namespace with a space of the embedded store, and an entry in it.
    pub async fn new(world: &'w World, entry: &[(&str, &str)]) -> Self {
        let tenant = Self::unbound(world).await;
        if !entry.is_empty() {
            tenant.entry(entry).await;
        }
        tenant.manager("embedded", json!({"kubernetes": {}})).await;
        tenant.space(json!({})).await;
        tenant
    }

    /// A namespace that no space has.
    pub async fn unbound(world: &'w World) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let tenant = Self { world, client: world.client().await, name };
        tenant.apply(&Api::<Namespace>::all(tenant.client.clone()), &tenant.name, json!({})).await;
        tenant
    }

    /// Applies an object of a kind, whole.
    pub async fn apply<K>(&self, api: &Api<K>, name: &str, body: Json) -> K
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let mut object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}});
        merge(&mut object, body);
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(&object)).await.unwrap_or_else(|e| panic!("apply {name}: {e}"))
    }

    /// A `SecretManager`.
    pub async fn manager(&self, name: &str, spec: Json) -> SecretManager {
        self.apply(&Api::all(self.client.clone()), name, json!({"spec": spec})).await
    }

    /// The tenant's space, with these fields over the defaults of a test.
    pub async fn space(&self, spec: Json) -> Space {
        let mut body = json!({"spec": {"namespaces": [self.name], "secretManagerRef": {"name": "embedded"}}});
        merge(&mut body["spec"], spec);
        self.apply(&Api::all(self.client.clone()), &self.name, body).await
    }

    /// Writes the tenant's entry in the embedded store, whole.
    pub async fn entry(&self, values: &[(&str, &str)]) -> Secret {
        self.entry_with(values, json!({})).await
    }

    /// The same with annotations.
    pub async fn entry_with(&self, values: &[(&str, &str)], annotations: Json) -> Secret {
        let data: BTreeMap<_, _> = values.iter().copied().collect();
        let encoded: BTreeMap<_, _> =
            data.into_iter().map(|(k, v)| (k, k8s_openapi::ByteString(v.as_bytes().to_vec()))).collect();
        let body = json!({"data": encoded, "metadata": {"annotations": annotations}});
        self.apply(&self.own(), &format!("space-{}", self.name), body).await
    }

    /// Secrets of the operator's namespace.
    pub fn own(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    /// An API in the tenant's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// A sync named `secrets`.
    pub async fn sync(&self, spec: Json) -> SpaceSecretSync {
        self.sync_named("secrets", spec).await
    }

    /// A sync.
    pub async fn sync_named(&self, name: &str, spec: Json) -> SpaceSecretSync {
        self.apply(&self.api(), name, json!({"spec": spec})).await
    }

    /// A `FlowApp`.
    pub async fn flow_app(&self, name: &str, spec: Json) -> FlowApp {
        self.apply(&self.api(), name, json!({"spec": spec})).await
    }

    /// Waits until the sync `secrets` is as wanted.
    pub async fn until_sync(&self, what: &str, holds: impl Fn(&SpaceSecretSync) -> bool) -> SpaceSecretSync {
        until(self.api(), "secrets", what, holds).await
    }

    /// Waits until the status of the sync `secrets` is as wanted.
    pub async fn until_status(
        &self,
        what: &str,
        holds: impl Fn(&SpaceSecretSyncStatus) -> bool,
    ) -> SpaceSecretSyncStatus {
        let sync = self.until_sync(what, |sync| sync.status.as_ref().is_some_and(&holds)).await;
        sync.status.expect("just seen")
    }

    /// Waits until a condition of the sync `secrets` is `status/reason`.
    pub async fn until_condition(&self, type_: &str, expected: &str) -> SpaceSecretSync {
        self.until_sync(&format!("{type_} {expected}"), |sync| condition(sync, type_) == expected).await
    }

    /// Waits until the managed Secret `secrets` holds exactly these values.
    pub async fn until_secret(&self, expected: &[(&str, &str)]) -> Secret {
        let wanted: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let what = format!("the Secret holds {} keys", wanted.len());
        until(self.api::<Secret>(), "secrets", &what, |secret| values(secret) == wanted).await
    }

    /// Asks for a sync now, as `kubectl annotate` does.
    pub async fn request(&self, value: &str) {
        self.annotate::<SpaceSecretSync>("secrets", "spacesync.dev/sync-requested", Some(value)).await;
    }

    /// Sets or removes an annotation of an object of the tenant's namespace.
    pub async fn annotate<K>(&self, name: &str, annotation: &str, value: Option<&str>)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let body = json!({"metadata": {"annotations": {annotation: value}}});
        self.patch::<K>(name, body).await;
    }

    /// A JSON merge patch of an object of the tenant's namespace.
    pub async fn patch<K>(&self, name: &str, body: Json) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let patched = self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&body)).await;
        patched.unwrap_or_else(|e| panic!("patch {name}: {e}"))
    }

    /// Deletes an object of the tenant's namespace.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.unwrap_or_else(|e| panic!("delete {name}: {e}"));
    }

    /// Events about the sync `secrets`: type, reason and note.
    pub async fn events(&self) -> Vec<(String, String, String)> {
        let events = self.api::<Event>().list(&kube::api::ListParams::default()).await.expect("Events");
        let about = events.into_iter().filter(|event| event.involved_object.name.as_deref() == Some("secrets"));
        about
            .map(|e| (e.type_.unwrap_or_default(), e.reason.unwrap_or_default(), e.message.unwrap_or_default()))
            .collect()
    }
}

/// Lays one JSON object over another.
pub fn merge(base: &mut Json, over: Json) {
    match (base, over) {
        (Json::Object(base), Json::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Json::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// A resourceVersion, to see that an object was not written.
pub fn version_of(object: &impl ResourceExt) -> String {
    object.resource_version().unwrap_or_default()
}
