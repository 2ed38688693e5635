//! All that is read for one FlowApp: what the caches know, and a workload's template where it moved.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::PodTemplateSpec,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::core::ObjectMeta;

use super::{
    injection,
    pod::PodView,
    restart::{self, Rollout},
    serving,
    workload::{WorkloadKind, WorkloadMeta},
};
use crate::{
    cluster::{
        self,
        cache::{Item, Key},
    },
    operator::Context,
    resources::{FlowApp, Reload},
    secret::Content,
};

/// What is known of a FlowApp without asking anybody.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where it is.
    pub key: Key,
    /// The FlowApp.
    pub app: Arc<FlowApp>,
    /// The sync that serves it.
    pub serving: Option<Serving>,
    /// The older FlowApp that has its workload.
    pub holder: Option<String>,
    /// Its workload by its metadata.
    pub workload: Option<Arc<WorkloadMeta>>,
    /// Other workloads that were injected for it, by an earlier `workloadRef`.
    pub strays: Vec<Arc<WorkloadMeta>>,
    /// Its pods.
    pub pods: Vec<Arc<PodView>>,
}

/// The sync that serves an app, as far as the app is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Its name.
    pub sync: String,
    /// Its managed Secret.
    pub secret: String,
    /// What that holds, once it is there.
    pub revision: Option<String>,
    /// Since when it holds that.
    pub content: Option<Content>,
}

impl Known {
    /// Which kind of workload; the CEL rule lets no other through.
    pub fn kind(&self) -> Option<WorkloadKind> {
        WorkloadKind::parse(&self.app.spec.workload_ref.kind)
    }

    /// The workload as messages call it.
    pub fn workload_args(&self) -> [(&'static str, &str); 2] {
        let reference = &self.app.spec.workload_ref;
        [("kind", &reference.kind), ("name", &reference.name)]
    }

    /// The revision that its pods are to be told.
    pub fn told_revision(&self) -> Option<&str> {
        self.serving.as_ref().filter(|_| self.is_hot())?.revision.as_deref()
    }

    /// Whether its pods are to be told a revision, now or once there is one.
    pub fn will_be_told(&self) -> bool {
        self.is_hot() && self.serving.is_some()
    }

    fn is_hot(&self) -> bool {
        self.app.spec.effective_reload() == Reload::Hot
    }
}

/// What the caches know of a FlowApp; `None` when it has gone. Costs no request.
pub fn known(ctx: &Context, key: &Key) -> Option<Known> {
    let app = ctx.caches.flow_apps.get(key)?;
    let apps = ctx.caches.flow_apps.in_namespace(&key.namespace);
    let reference = &app.spec.workload_ref;
    let workload = WorkloadKind::parse(&reference.kind)
        .and_then(|kind| ctx.caches.workloads(kind).get(&Key::new(&key.namespace, &reference.name)))
        .filter(|workload| !workload.terminating);
    let mut strays = injected_for(ctx, key);
    strays.retain(|stray| !names(&app, stray));
    Some(Known {
        key: key.clone(),
        serving: serving(ctx, &app),
        holder: serving::holder_of_workload(&app, &apps).and_then(|other| other.metadata.name.clone()),
        workload,
        strays,
        pods: pods(ctx, key),
        app,
    })
}

/// The pods of a FlowApp as they are known right now.
pub fn pods(ctx: &Context, key: &Key) -> Vec<Arc<PodView>> {
    let mut pods = ctx.caches.pods.in_namespace(&key.namespace);
    pods.retain(|pod| pod.flow_app == key.name);
    pods
}

fn serving(ctx: &Context, app: &FlowApp) -> Option<Serving> {
    let namespace = app.metadata.namespace.as_deref().unwrap_or_default();
    let syncs = ctx.caches.syncs.in_namespace(namespace);
    let serving = serving::served_by(app, &syncs)?;
    let sync = serving.metadata.name.clone().unwrap_or_default();
    let secret = serving.spec.target_name(&sync).to_owned();
    let managed = ctx.caches.managed.get(&Key::new(namespace, &secret));
    let managed = managed.filter(|managed| managed.sync.as_deref() == Some(&sync) && !managed.terminating);
    let content = managed.as_ref().and_then(|managed| managed.content());
    Some(Serving { revision: managed.and_then(|managed| managed.revision.clone()), content, sync, secret })
}

fn names(app: &FlowApp, workload: &WorkloadMeta) -> bool {
    let reference = &app.spec.workload_ref;
    reference.kind == workload.kind.as_str() && reference.name == workload.name
}

/// The workloads that are injected for a FlowApp of this name and that no other FlowApp has now: that one's look takes
/// them over as they are, so that they roll once and not twice.
pub fn injected_for(ctx: &Context, key: &Key) -> Vec<Arc<WorkloadMeta>> {
    let labelled = |workload: &Arc<WorkloadMeta>| workload.flow_app.as_deref() == Some(&key.name);
    let mut workloads = ctx.caches.deployments.in_namespace(&key.namespace);
    workloads.extend(ctx.caches.stateful_sets.in_namespace(&key.namespace));
    workloads.retain(|workload| labelled(workload) && workload.injected.is_some() && !workload.terminating);
    if workloads.is_empty() {
        return workloads;
    }
    let mut others = ctx.caches.flow_apps.in_namespace(&key.namespace);
    others.retain(|other| other.metadata.name.as_deref() != Some(&key.name));
    workloads.retain(|workload| !others.iter().any(|other| names(other, workload)));
    workloads
}

/// FlowApps that have gone and whose workloads are still injected: what went while nobody led.
pub fn orphans(ctx: &Context) -> Vec<Key> {
    let workloads = ctx.caches.deployments.all().into_iter().chain(ctx.caches.stateful_sets.all());
    let injected = workloads.filter(|workload| workload.injected.is_some());
    let named = injected.filter_map(|workload| Some(Key::new(&workload.namespace, workload.flow_app.as_deref()?)));
    let mut orphans: Vec<_> = named.filter(|key| ctx.caches.flow_apps.get(key).is_none()).collect();
    orphans.sort();
    orphans.dedup();
    orphans
}

/// The FlowApps whose workloads were rolled and are not known to have come to an end: those that count for a new leader.
pub fn rolling(ctx: &Context) -> impl Iterator<Item = Key> {
    let apps = ctx.caches.flow_apps.all().into_iter().filter(|app| app.spec.effective_reload() == Reload::Restart);
    apps.filter_map(|app| {
        let (key, reference) = (app.key(), &app.spec.workload_ref);
        let kind = WorkloadKind::parse(&reference.kind)?;
        let workload = ctx.caches.workloads(kind).get(&Key::new(&key.namespace, &reference.name))?;
        let status = app.status.as_ref().and_then(|status| status.restart.as_ref());
        let is_its_own = workload.flow_app.as_ref() == Some(&key.name);
        (is_its_own && restart::takes_a_place(workload.restarted_for.as_deref(), status)).then_some(key)
    })
}

/// Whether the whole namespace is on its way out, so that nothing of it is worth a roll.
pub fn is_ending(ctx: &Context, namespace: &str) -> bool {
    ctx.caches.namespaces.get(&Key::cluster(namespace)).is_some_and(|namespace| namespace.terminating)
}

/// A workload that was read.
#[derive(Clone, Debug)]
pub struct Workload {
    /// As the cache knows it.
    pub meta: WorkloadMeta,
    /// Its pods' template.
    pub template: PodTemplateSpec,
    /// Whether the volume in it is ours.
    pub owned: bool,
    /// How far it is with its template.
    pub rollout: Rollout,
}

impl Workload {
    fn new(kind: WorkloadKind, meta: ObjectMeta, template: Option<PodTemplateSpec>, rollout: Rollout) -> Option<Self> {
        let owned = injection::owns_volume(meta.managed_fields.as_deref().unwrap_or_default());
        Some(Self { meta: WorkloadMeta::from_meta(kind, meta)?, template: template?, owned, rollout })
    }
}

/// Reads a workload, with one request.
pub async fn workload(ctx: &Context, known: &WorkloadMeta) -> cluster::Result<Option<Workload>> {
    let (namespace, name) = (Some(known.namespace.as_str()), known.name.as_str());
    let read = match known.kind {
        WorkloadKind::Deployment => {
            let read = ctx.cluster.get::<Deployment>(namespace, name).await?;
            read.and_then(|read| {
                let rollout = Rollout::of_deployment(&read);
                Workload::new(known.kind, read.metadata, read.spec.map(|spec| spec.template), rollout)
            })
        }
        WorkloadKind::StatefulSet => {
            let read = ctx.cluster.get::<StatefulSet>(namespace, name).await?;
            read.and_then(|read| {
                let rollout = Rollout::of_stateful_set(&read);
                Workload::new(known.kind, read.metadata, read.spec.map(|spec| spec.template), rollout)
            })
        }
    };
    Ok(read.filter(|read| !read.meta.terminating))
}

/// When the definition of the FlowApps was made; `None` while it is going. An uninstall deletes it, and every FlowApp
/// with it, but no workload rolls then.
pub async fn definition(ctx: &Context) -> cluster::Result<Option<jiff::Timestamp>> {
    let definition = ctx.cluster.get_meta::<CustomResourceDefinition>(None, "flowapps.spacesync.dev").await?;
    let stays = definition.filter(|definition| definition.metadata.deletion_timestamp.is_none());
    Ok(stays.and_then(|definition| definition.metadata.creation_timestamp).map(|made| made.0))
}
