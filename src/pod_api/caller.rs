//! Who asks: a pod, its flow app, and the sync that serves it. All that a request is about follows from these.

use std::sync::Arc;

use super::{
    PodApi,
    authentication::no_flow_app,
    problem::{Problem, What},
};
use crate::{
    cluster::cache::{Cache, Item, Key},
    delivery::{pod::PodView, serving::served_by},
    resources::{FlowApp, SpaceSecretSync},
    space::binding,
};

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The pod.
    pub pod: Arc<PodView>,
    /// Its flow app.
    pub app: Arc<FlowApp>,
    /// The sync that serves it.
    pub sync: Option<Arc<SpaceSecretSync>>,
    /// The space that the namespace belongs to.
    pub space: Option<String>,
}

impl Caller {
    /// Finds everything of a pod, in what is known anyway.
    pub fn of(api: &PodApi, pod: Arc<PodView>) -> Result<Self, Problem> {
        let caches = &api.ctx.caches;
        let app = caches.flow_apps.get(&Key::new(&pod.namespace, &pod.flow_app)).ok_or_else(no_flow_app)?;
        let syncs = caches.syncs.in_namespace(&pod.namespace);
        Ok(Self {
            sync: served_by(&app, &syncs).cloned(),
            space: binding::holder_of(&api.ctx, &pod.namespace).map(|space| space.key().name),
            pod,
            app,
        })
    }

    /// The sync, for whoever can do nothing without one.
    pub fn sync(&self) -> Result<&Arc<SpaceSecretSync>, Problem> {
        let detail =
            "no SpaceSecretSync of the namespace selects this FlowApp; create one, or widen its spec.flowApps.selector";
        self.sync.as_ref().ok_or_else(|| Problem::new(What::NoSync, detail))
    }

    /// What the quota of many is counted by.
    pub fn tenant(&self) -> &str {
        self.space.as_deref().unwrap_or(&self.pod.namespace)
    }
}

/// Whether enough is known to answer anybody.
pub fn is_known(api: &PodApi) -> bool {
    fn complete<T: Item>(cache: &Cache<T>) -> bool {
        cache.is_complete()
    }
    let caches = &api.ctx.caches;
    complete(&caches.pods) && complete(&caches.flow_apps) && complete(&caches.syncs) && complete(&caches.spaces)
}
