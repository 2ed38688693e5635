//! Everything that is watched: one watch a kind, or one for each namespace where only some are served; and no value in
//! any of them.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Namespace, Secret},
};
use kube::{
    Api, Client,
    core::{NamespaceResourceScope, ObjectMeta, PartialObjectMeta},
    runtime::watcher,
};
use tokio::task::JoinSet;

use super::scope::Scope;
use crate::{
    cluster::{
        cache::{Cache, Item, Key, version_number},
        parts::{Health, Part},
        secrets::{OwnObject, SecretMeta},
    },
    delivery::{
        pod::PodView,
        workload::{WorkloadKind, WorkloadMeta},
    },
    resources::{
        FlowApp, SecretManager, Space, SpaceSecretSync,
        names::{API_CONFIG_MAP, FLOW_APP, MANAGED_BY, MANAGER, SYNC},
    },
};

/// A `ConfigMap` or Namespace by its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectView {
    /// Its namespace, or empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Whether it is labelled as ours.
    pub ours: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl ObjectView {
    /// The projection for a cache.
    pub fn project<K>(object: PartialObjectMeta<K>) -> Option<Self> {
        Self::from_meta(object.metadata)
    }

    /// The same of an object that was just written.
    pub fn from_meta(meta: ObjectMeta) -> Option<Self> {
        Some(Self {
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name?,
            uid: meta.uid?,
            resource_version: meta.resource_version?,
            ours: meta.labels.is_some_and(|labels| labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER)),
            terminating: meta.deletion_timestamp.is_some(),
        })
    }
}

impl Item for ObjectView {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn resource_version(&self) -> u64 {
        version_number(Some(&self.resource_version))
    }
}

/// What this replica knows of the cluster.
#[derive(Default)]
pub struct Caches {
    /// All SecretManagers.
    pub managers: Cache<SecretManager>,
    /// All Spaces.
    pub spaces: Cache<Space>,
    /// All syncs.
    pub syncs: Cache<SpaceSecretSync>,
    /// All FlowApps.
    pub flow_apps: Cache<FlowApp>,
    /// Secrets that carry our label, by metadata.
    pub managed: Cache<SecretMeta>,
    /// Secrets of the operator's own namespace, by metadata.
    pub own_secrets: Cache<OwnObject>,
    /// `ConfigMaps` of the operator's own namespace, by metadata.
    pub own_config_maps: Cache<OwnObject>,
    /// The `ConfigMaps` `spacesync-api`, by metadata, whosever they are.
    pub api_config_maps: Cache<ObjectView>,
    /// Pods that carry the injected label.
    pub pods: Cache<PodView>,
    /// Deployments, by metadata.
    pub deployments: Cache<WorkloadMeta>,
    /// StatefulSets, by metadata.
    pub stateful_sets: Cache<WorkloadMeta>,
    /// Namespaces, by metadata.
    pub namespaces: Cache<ObjectView>,
    /// Why the watches have not begun.
    held_up: Mutex<Option<String>>,
}

/// Lists every cache with the resource that it watches, so that no list of them is written twice.
macro_rules! each_cache {
    ($caches:expr, |$name:ident, $cache:ident| $body:expr) => {{
        let caches = $caches;
        vec![
            {
                let ($name, $cache) = ("secretmanagers.spacesync.dev", &caches.managers);
                $body
            },
            {
                let ($name, $cache) = ("spaces.spacesync.dev", &caches.spaces);
                $body
            },
            {
                let ($name, $cache) = ("spacesecretsyncs.spacesync.dev", &caches.syncs);
                $body
            },
            {
                let ($name, $cache) = ("flowapps.spacesync.dev", &caches.flow_apps);
                $body
            },
            {
                let ($name, $cache) = ("secrets", &caches.managed);
                $body
            },
            {
                let ($name, $cache) = ("secrets of the operator's namespace", &caches.own_secrets);
                $body
            },
            {
                let ($name, $cache) = ("configmaps of the operator's namespace", &caches.own_config_maps);
                $body
            },
            {
                let ($name, $cache) = ("configmaps", &caches.api_config_maps);
                $body
            },
            {
                let ($name, $cache) = ("pods", &caches.pods);
                $body
            },
            {
                let ($name, $cache) = ("deployments.apps", &caches.deployments);
                $body
            },
            {
                let ($name, $cache) = ("statefulsets.apps", &caches.stateful_sets);
                $body
            },
            {
                let ($name, $cache) = ("namespaces", &caches.namespaces);
                $body
            },
        ]
    }};
}

impl Caches {
    /// The cache that holds workloads of this kind.
    pub fn workloads(&self, kind: WorkloadKind) -> &Cache<WorkloadMeta> {
        match kind {
            WorkloadKind::Deployment => &self.deployments,
            WorkloadKind::StatefulSet => &self.stateful_sets,
        }
    }

    /// Keeps every cache in step, until the set is dropped.
    pub fn watch(self: &Arc<Self>, client: &Client, namespace: &str, scope: &Scope) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let everything = watcher::Config::default;
        let labelled = |selector| watcher::Config::default().labels(selector);
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        macro_rules! watch {
            ($cache:ident, $part:expr, $api:expr, $config:expr, $project:expr) => {{
                let (caches, part, api, config) = (self.clone(), $part, $api, $config);
                caches.$cache.expect(part.clone());
                tasks.spawn(async move {
                    let not_exist = |part: &Part| matches!(part, Part::Namespace(name) if caches.lack(name));
                    caches.$cache.watch(part, api, config, $project, not_exist).await;
                });
            }};
        }
        let all = || client.clone();
        watch!(managers, Part::All, Api::all(all()), everything(), Some);
        watch!(spaces, Part::All, Api::all(all()), everything(), Some);
        let own = || Api::<PartialObjectMeta<Secret>>::namespaced(all(), namespace);
        watch!(own_secrets, Part::All, own(), everything(), OwnObject::project);
        let own = || Api::<PartialObjectMeta<ConfigMap>>::namespaced(all(), namespace);
        watch!(own_config_maps, Part::All, own(), everything(), OwnObject::project);
        for part in scope.parts() {
            watch!(syncs, part.clone(), of(client, &part), everything(), Some);
            watch!(flow_apps, part.clone(), of(client, &part), everything(), Some);
            watch!(managed, part.clone(), of(client, &part), labelled(SYNC), SecretMeta::project);
            let api = of::<PartialObjectMeta<ConfigMap>>(client, &part);
            watch!(api_config_maps, part.clone(), api, named(API_CONFIG_MAP), ObjectView::project);
            watch!(pods, part.clone(), of(client, &part), labelled(FLOW_APP), PodView::project);
            let api = of::<PartialObjectMeta<Deployment>>(client, &part);
            watch!(deployments, part.clone(), api, everything(), WorkloadMeta::deployment);
            let api = of::<PartialObjectMeta<StatefulSet>>(client, &part);
            watch!(stateful_sets, part.clone(), api, everything(), WorkloadMeta::stateful_set);
        }
        for part in scope.namespaces() {
            let config = if let Part::Object(name) = &part { named(name) } else { everything() };
            watch!(namespaces, part, Api::<PartialObjectMeta<Namespace>>::all(all()), config, ObjectView::project);
        }
        tasks
    }

    /// Whether a namespace that is served is known not to exist.
    pub fn lack(&self, namespace: &str) -> bool {
        self.namespaces.is_complete() && self.namespaces.get(&Key::cluster(namespace)).is_none()
    }

    /// Waits until everything is known once.
    pub async fn complete(&self) {
        let waits: Vec<futures::future::BoxFuture<'_, ()>> =
            each_cache!(self, |_name, cache| Box::pin(cache.completed()) as futures::future::BoxFuture<'_, ()>);
        join_all(waits).await;
    }

    /// What is not known, or cannot be watched, with the API server's words: a missing definition or permission.
    pub fn problems(&self) -> Vec<String> {
        let all: Vec<Option<String>> = each_cache!(self, |name, cache| match cache.health() {
            Health::Synced => None,
            Health::Starting => Some(format!("{name}: not listed yet")),
            Health::Failing(why) | Health::Refused(why) => Some(format!("{name}: {why}")),
        });
        all.into_iter().flatten().collect()
    }

    /// Namespaces out of which the operator was shut, with the API server's words.
    pub fn notes(&self) -> Vec<String> {
        let all: Vec<Vec<String>> = each_cache!(self, |name, cache| {
            cache.shut_out().into_iter().map(|words| format!("{name}: {words}")).collect()
        });
        all.concat()
    }

    /// Says why the watches cannot begin yet, or that they can.
    pub fn hold_up(&self, why: Option<String>) {
        *self.held_up.lock().expect("no code panics while it holds the lock") = why;
    }

    /// The problems that keep this replica from its work. One that has known everything and is cut off for a while is as
    /// good as any other: it stays ready.
    pub fn hindrances(&self) -> Vec<String> {
        if let Some(why) = self.held_up.lock().expect("no code panics while it holds the lock").clone() {
            return vec![why];
        }
        let all: Vec<Option<String>> = each_cache!(self, |name, cache| match cache.health() {
            Health::Refused(why) => Some(format!("{name}: {why}")),
            _ if cache.is_complete() => None,
            Health::Failing(why) => Some(format!("{name}: {why}")),
            Health::Starting | Health::Synced => Some(format!("{name}: not listed yet")),
        });
        all.into_iter().flatten().collect()
    }
}

/// The objects of a part.
fn of<K>(client: &Client, part: &Part) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match part {
        Part::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        Part::All | Part::Object(_) => Api::all(client.clone()),
    }
}
