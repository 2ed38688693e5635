//! Objects for the tests of this room.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::ObjectMeta;

use super::{
    gather::{Known, Serving},
    pod::{Ack, PodView},
    workload::{WorkloadKind, WorkloadMeta},
};
use crate::resources::{FlowApp, FlowAppSpec, SpaceSecretSync, SpaceSecretSyncSpec, flow_app::WorkloadRef};
use crate::{cluster::cache::Key, secret::Content};

/// The revision that tests speak of.
pub const R1: &str = "1-00000000000000aa";
/// The one after it.
pub const R2: &str = "2-00000000000000bb";

/// When the content of [`R2`] came.
pub const CAME: i64 = 500_000;

pub fn at_ms(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap()
}

fn meta(name: &str, second: i64) -> ObjectMeta {
    ObjectMeta {
        namespace: Some("ns".into()),
        name: Some(name.into()),
        uid: Some(format!("uid-of-{name}")),
        generation: Some(1),
        creation_timestamp: Some(Time(at_ms(second * 1000))),
        ..ObjectMeta::default()
    }
}

pub fn sync(name: &str, second: i64) -> SpaceSecretSync {
    SpaceSecretSync { metadata: meta(name, second), spec: SpaceSecretSyncSpec::default(), status: None }
}

pub fn app(name: &str) -> FlowApp {
    let workload_ref = WorkloadRef { kind: "Deployment".into(), name: "ingest".into() };
    let spec = FlowAppSpec { version: "5.3.0".into(), workload_ref, ..FlowAppSpec::default() };
    FlowApp { metadata: meta(name, 1), spec, status: None }
}

pub fn pod(name: &str, app: &str) -> PodView {
    PodView {
        namespace: "ns".into(),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        resource_version: "1".into(),
        flow_app: app.into(),
        started: true,
        ready: true,
        ..PodView::default()
    }
}

pub fn told(pod: PodView, revision: &str, attempt: u32, ms: i64) -> PodView {
    let signal = Some(format!("{attempt}/{ms}"));
    PodView { revision: Some(revision.into()), flow_app_version: Some("5.3.0".into()), signal, ..pod }
}

pub fn acked(pod: PodView, revision: &str) -> PodView {
    PodView { loaded: Some(Ack { loaded: true, reason: "Loaded".into(), revision: revision.into() }), ..pod }
}

pub fn failed(pod: PodView, revision: &str, reason: &str) -> PodView {
    PodView { loaded: Some(Ack { loaded: false, reason: reason.into(), revision: revision.into() }), ..pod }
}

pub fn shared<T>(items: impl IntoIterator<Item = T>) -> Vec<Arc<T>> {
    items.into_iter().map(Arc::new).collect()
}

pub fn workload() -> WorkloadMeta {
    WorkloadMeta {
        kind: WorkloadKind::Deployment,
        namespace: "ns".into(),
        name: "ingest".into(),
        uid: "uid-of-ingest".into(),
        resource_version: "7".into(),
        generation: 3,
        flow_app: Some("ingest".into()),
        injected: Some(at_ms(5_000)),
        containers_at: None,
        restarted_for: None,
        restarted: None,
        terminating: false,
    }
}

/// A FlowApp that a sync serves, with a workload and no pods.
pub fn known() -> Known {
    Known {
        key: Key::new("ns", "ingest"),
        app: Arc::new(app("ingest")),
        serving: Some(Serving {
            sync: "secrets".into(),
            secret: "secrets".into(),
            revision: Some(R2.into()),
            content: Some(Content { revision: R2.into(), since: at_ms(CAME) }),
        }),
        holder: None,
        workload: Some(Arc::new(workload())),
        strays: Vec::new(),
        pods: Vec::new(),
    }
}
