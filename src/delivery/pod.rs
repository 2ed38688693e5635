//! A pod of a flow app, as far as delivery needs to know it.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use crate::{
    cluster::cache::{Item, version_number},
    resources::names::{
        FLOW_APP, FLOW_APP_VERSION, LEGACY_NODES, LOADED, RESTARTED_FOR, REVISION, RUNTIME, SIGNAL, VOLUME,
    },
};

/// Whoever may edit a pod may write its annotations: what of them stands in a status is capped.
const MAX_WORD: usize = 128;

/// A pod that carries the injected label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another pod of the same name is another pod.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// The FlowApp that its template was injected for.
    pub flow_app: String,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
    /// Whether it runs: phase Running, and started every container that has the volume, whatever runs beside them.
    pub started: bool,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether it is on its way out: being deleted, or ended, as an evicted one that nobody has deleted yet.
    pub terminating: bool,
    /// The revision that its template was rolled for.
    pub restarted_for: Option<String>,
    /// The revision that it was told.
    pub revision: Option<String>,
    /// The Flow App's version that it was told.
    pub flow_app_version: Option<String>,
    /// `<attempt>/<unix milliseconds>` of the last reload signal.
    pub signal: Option<String>,
    /// The acknowledgement of its runtime.
    pub loaded: Option<Ack>,
    /// What acknowledged, with its versions.
    pub runtime: Option<String>,
    /// How many legacy Secret Manager nodes it found in its flows.
    pub legacy_nodes: Option<u32>,
    /// When its youngest container was started, in whole seconds.
    pub started_at: Option<jiff::Timestamp>,
}

/// The pod condition `spacesync.dev/Loaded`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Whether the runtime has loaded the revision.
    pub loaded: bool,
    /// Why, or why not.
    pub reason: String,
    /// The revision.
    pub revision: String,
}

impl PodView {
    /// The projection for the cache.
    #[allow(clippy::needless_pass_by_value, reason = "the form of a projection")]
    pub fn project(pod: Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let annotation = |name| meta.annotations.as_ref().and_then(|a| a.get(name)).cloned();
        let status = pod.status.as_ref();
        let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let condition = |type_| conditions.iter().find(|c| c.type_ == type_);
        let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
        let phase = status.and_then(|s| s.phase.as_deref());
        let running = phase == Some("Running");
        let specs = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let has_volume = |c: &Container| c.volume_mounts.iter().flatten().any(|mount| mount.name == VOLUME);
        let reads = |name: &str| specs.iter().any(|c| c.name == name && has_volume(c));
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            resource_version: meta.resource_version.clone()?,
            flow_app: meta.labels.as_ref()?.get(FLOW_APP)?.clone(),
            created: meta.creation_timestamp.as_ref().map(|at| at.0),
            started: running && is_started(containers, reads),
            ready: condition("Ready").is_some_and(|c| c.status == "True"),
            terminating: meta.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed")),
            restarted_for: annotation(RESTARTED_FOR),
            revision: annotation(REVISION),
            flow_app_version: annotation(FLOW_APP_VERSION),
            signal: annotation(SIGNAL),
            loaded: condition(LOADED).map(|c| Ack {
                loaded: c.status == "True",
                reason: word(&c.reason.clone().unwrap_or_default()),
                revision: word(&c.message.clone().unwrap_or_default()),
            }),
            runtime: annotation(RUNTIME).map(|runtime| word(&runtime)).filter(|runtime| !runtime.is_empty()),
            legacy_nodes: annotation(LEGACY_NODES).and_then(|count| count.parse().ok()),
            started_at: containers
                .iter()
                .filter_map(|c| Some(c.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0))
                .max(),
        })
    }

    /// Whether it counts: it has started and is not on its way out.
    pub fn counts(&self) -> bool {
        self.started && !self.terminating
    }
}

fn is_started(containers: &[ContainerStatus], reads: impl Fn(&str) -> bool) -> bool {
    let has_started = |c: &ContainerStatus| c.started == Some(true);
    let mut reading = containers.iter().filter(|c| reads(&c.name)).peekable();
    // Nobody reads the volume where somebody took the mount away: then it is a pod like any other.
    if reading.peek().is_none() { containers.iter().any(has_started) } else { reading.all(has_started) }
}

/// What others wrote, as far as it may stand in a status.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_WORD).collect()
}

impl Item for PodView {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn resource_version(&self) -> u64 {
        version_number(Some(&self.resource_version))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn projected(annotations: &serde_json::Value, conditions: &serde_json::Value) -> PodView {
        let pod = json!({
            "metadata": {"namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "7",
                         "labels": {"spacesync.dev/flow-app": "ingest"}, "annotations": annotations},
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "started": true, "ready": true,
                       "restartCount": 0, "image": "i", "imageID": "i"}], "conditions": conditions},
        });
        PodView::project(serde_json::from_value(pod).unwrap()).unwrap()
    }

    #[test]
    fn a_pod_says_what_it_has_loaded_and_what_runs_in_it() {
        let runtime = "node-red/5.0.7 plugin/0.1.0 protection/context-store";
        let annotations = json!({"spacesync.dev/runtime": runtime, "spacesync.dev/legacy-nodes": "3"});
        let loaded = json!([{"type": "spacesync.dev/Loaded", "status": "True", "reason": "Loaded", "message": "1-aa"}]);
        let pod = projected(&annotations, &loaded);
        assert!(pod.counts());
        assert_eq!(pod.loaded, Some(Ack { loaded: true, reason: "Loaded".into(), revision: "1-aa".into() }));
        assert_eq!((pod.runtime.as_deref(), pod.legacy_nodes), (Some(runtime), Some(3)));
    }

    #[test]
    fn it_has_started_when_the_container_with_the_volume_has() {
        let started = |reads: bool, beside: bool| {
            let state = |name: &str, started: bool| json!({"name": name, "started": started, "ready": started, "restartCount": 0, "image": "i", "imageID": "i"});
            let pod = json!({
                "metadata": {"namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "7",
                             "labels": {"spacesync.dev/flow-app": "ingest"}},
                "spec": {"containers": [
                    {"name": "node-red", "volumeMounts": [{"name": "spacesync", "mountPath": "/var/run/spacesync"}]},
                    {"name": "beside"}]},
                "status": {"phase": "Running", "containerStatuses": [state("beside", beside), state("node-red", reads)]},
            });
            PodView::project(serde_json::from_value(pod).unwrap()).unwrap().started
        };
        assert_eq!([started(true, false), started(false, true)], [true, false]);
    }

    #[test]
    fn one_that_ended_is_on_its_way_out_like_one_that_is_deleted() {
        let in_phase = |phase: &str| {
            let pod = json!({"metadata": {"namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "7",
                             "labels": {"spacesync.dev/flow-app": "ingest"}}, "status": {"phase": phase}});
            PodView::project(serde_json::from_value(pod).unwrap()).unwrap().terminating
        };
        assert_eq!(["Pending", "Running", "Succeeded", "Failed"].map(in_phase), [false, false, true, true]);
    }

    #[test]
    fn what_anybody_may_write_is_capped_and_what_cannot_be_read_is_left_out() {
        let endless = format!("a\u{1b}[31m\n{}", "x".repeat(5_000));
        let failed =
            json!([{"type": "spacesync.dev/Loaded", "status": "False", "reason": "R".repeat(900), "message": "m"}]);
        let pod = projected(&json!({"spacesync.dev/runtime": endless, "spacesync.dev/legacy-nodes": "-1"}), &failed);
        let runtime = pod.runtime.unwrap();
        assert!(runtime.starts_with("a[31mxxx") && runtime.len() == MAX_WORD, "{runtime:?}");
        assert_eq!((pod.legacy_nodes, pod.loaded.unwrap().reason.len()), (None, MAX_WORD));
        assert_eq!(projected(&json!({"spacesync.dev/runtime": "\u{7}"}), &json!([])).runtime, None);
    }
}
