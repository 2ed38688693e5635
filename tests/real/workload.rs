//! Workloads and pods as a platform team makes them, and what stands in them.

use std::{fmt::Debug, time::Instant};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Event, Pod, ServiceAccount},
    },
};
use kube::{
    Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, condition::find};

use crate::tenant::{PATIENCE, Tenant, merge, until};

/// A pod template with two containers and a volume of its own.
pub fn template() -> Json {
    json!({
        "metadata": {"labels": {"app": "ingest"}},
        "spec": {
            "containers": [
                {"name": "node-red", "image": "node-red:5", "env": [{"name": "A", "value": "1"}],
                 "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                {"name": "side", "image": "side:1"},
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// The volume as the contract says it, for Secret `secrets`.
pub fn volume() -> Json {
    let field = |path: &str| json!({"fieldPath": path});
    json!({"name": "spacesync", "projected": {"sources": [
        {"secret": {"name": "secrets", "optional": true}},
        {"serviceAccountToken": {"path": ".spacesync/token", "audience": "spacesync.dev", "expirationSeconds": 3600}},
        {"configMap": {"name": "spacesync-api", "optional": true, "items": [
            {"key": "url", "path": ".spacesync/url"}, {"key": "ca.crt", "path": ".spacesync/ca.crt"},
        ]}},
        {"downwardAPI": {"items": [
            {"path": ".spacesync/revision", "fieldRef": field("metadata.annotations['spacesync.dev/revision']")},
            {"path": ".spacesync/flow-app-version",
             "fieldRef": field("metadata.annotations['spacesync.dev/flow-app-version']")},
        ]}},
    ]}})
}

/// A template whose own manifest declares everything, for the FlowApp `ingest`.
pub fn declared() -> Json {
    let mut template = template();
    template["metadata"]["labels"]["spacesync.dev/flow-app"] = "ingest".into();
    template["spec"]["volumes"].as_array_mut().unwrap().push(volume());
    let mount = json!({"name": "spacesync", "mountPath": "/var/run/spacesync", "readOnly": true});
    template["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(mount);
    template
}

/// A condition of a FlowApp: `False/NoSync`.
pub fn app_condition(app: &FlowApp, type_: &str) -> String {
    let conditions = app.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    find(&conditions, type_).map(|c| format!("{}/{}", c.status, c.reason)).unwrap_or_default()
}

/// The message of a condition of a FlowApp.
pub fn app_message(app: &FlowApp, type_: &str) -> String {
    let conditions = app.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    find(&conditions, type_).map(|c| c.message.clone()).unwrap_or_default()
}

/// Where a template mounts our volume: container and path.
pub fn mounts<K: Serialize>(workload: &K) -> Vec<(String, String)> {
    let workload = serde_json::to_value(workload).unwrap();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let containers = list(&workload["spec"]["template"]["spec"]["containers"]);
    let ours = containers.iter().flat_map(|container| {
        let mounts = list(&container["volumeMounts"]).into_iter().filter(|mount| mount["name"] == "spacesync");
        mounts.map(|mount| (text(&container["name"]), text(&mount["mountPath"]))).collect::<Vec<_>>()
    });
    ours.collect()
}

/// The Secret that a template's volume names.
pub fn mounted_secret(deployment: &Deployment) -> Option<String> {
    let spec = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let volume = spec.volumes.as_ref()?.iter().find(|volume| volume.name == "spacesync")?;
    let sources = volume.projected.as_ref()?.sources.as_ref()?;
    sources.iter().find_map(|source| Some(source.secret.as_ref()?.name.clone()))
}

/// An annotation of a pod.
pub fn annotation(pod: &Pod, name: &str) -> Option<String> {
    pod.annotations().get(&format!("spacesync.dev/{name}")).cloned()
}

/// `attempt` and milliseconds of a pod's last signal.
pub fn signal(pod: &Pod) -> Option<(u32, i64)> {
    let signal = annotation(pod, "signal")?;
    let (attempt, at) = signal.split_once('/')?;
    Some((attempt.parse().ok()?, at.parse().ok()?))
}

impl Tenant<'_> {
    /// Creates a workload named `name` with this template, as `kubectl create` would.
    pub async fn workload<K>(&self, name: &str, template: Json) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let mut spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "ingest"}}, "template": template});
        if K::kind(&()) == "StatefulSet" {
            spec["serviceName"] = name.into();
        }
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap_or_else(|e| panic!("create {name}: {e}"))
    }

    /// A FlowApp `ingest` for the Deployment `ingest`, with more in its spec.
    pub async fn ingest(&self, more: Json) -> FlowApp {
        self.app_for("ingest", more).await
    }

    /// A FlowApp for the Deployment `ingest`.
    pub async fn app_for(&self, name: &str, more: Json) -> FlowApp {
        let mut spec = json!({"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": "ingest"}});
        merge(&mut spec, more);
        self.flow_app(name, spec).await
    }

    /// Waits until a FlowApp's condition is `status/reason`.
    pub async fn until_app(&self, name: &str, type_: &str, expected: &str) -> FlowApp {
        let what = format!("{type_} {expected}");
        until(self.api::<FlowApp>(), name, &what, |app| app_condition(app, type_) == expected).await
    }

    /// Waits until the Deployment `ingest` has or has not our volume mounted.
    pub async fn until_mounted(&self, expected: &[(&str, &str)]) -> Deployment {
        let expected: Vec<_> = expected.iter().map(|(c, p)| ((*c).to_owned(), (*p).to_owned())).collect();
        until(self.api(), "ingest", &format!("mounts {expected:?}"), |found: &Deployment| mounts(found) == expected)
            .await
    }

    /// A namespace with a synced `A=1`, the Deployment `ingest`, and the FlowApp `ingest` in good order.
    pub async fn with_ingest(&self) -> Deployment {
        self.workload::<Deployment>("ingest", template()).await;
        self.sync(json!({})).await;
        self.ingest(json!({})).await;
        self.until_app("ingest", "Ready", "True/Ready").await;
        self.until_mounted(&[("node-red", "/var/run/spacesync")]).await
    }

    /// A pod of a FlowApp as the injected template makes it. No node runs it: [`Tenant::run`] says that it does.
    pub async fn pod(&self, name: &str, app: &str) -> Pod {
        until(self.api::<ServiceAccount>(), "default", "it is there", |_| true).await;
        let pod = json!({
            "metadata": {"name": name, "labels": {"spacesync.dev/flow-app": app}},
            "spec": {"containers": [{"name": "node-red", "image": "node-red:5"}], "automountServiceAccountToken": false},
        });
        let pod = serde_json::from_value(pod).unwrap();
        self.api().create(&PostParams::default(), &pod).await.unwrap_or_else(|e| panic!("create {name}: {e}"))
    }

    /// Says of a pod what its kubelet would.
    pub async fn run(&self, name: &str) {
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{
            "name": "node-red", "ready": true, "started": true, "restartCount": 0, "image": "i", "imageID": "i",
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }]});
        self.pod_status(name, status).await;
    }

    /// A running pod.
    pub async fn running(&self, name: &str, app: &str) {
        self.pod(name, app).await;
        self.run(name).await;
    }

    /// Says of a pod what the pods' API will when its runtime acknowledges.
    pub async fn ack(&self, pod: &str, revision: &str) {
        self.ack_as(pod, "True", "Loaded", revision).await;
    }

    /// The same with another result.
    pub async fn ack_as(&self, pod: &str, status: &str, reason: &str, revision: &str) {
        let condition =
            json!({"type": "spacesync.dev/Loaded", "status": status, "reason": reason, "message": revision});
        self.pod_status(pod, json!({"conditions": [condition]})).await;
    }

    async fn pod_status(&self, name: &str, status: Json) {
        let patch = Patch::Strategic(json!({"status": status}));
        let patched = self.api::<Pod>().patch_subresource("status", name, &PatchParams::default(), &patch).await;
        patched.unwrap_or_else(|e| panic!("status of {name}: {e}"));
    }

    /// Waits until a pod was told this revision.
    pub async fn until_told(&self, pod: &str, revision: &str) -> Pod {
        let what = format!("told {revision}");
        until(self.api(), pod, &what, |pod: &Pod| annotation(pod, "revision").as_deref() == Some(revision)).await
    }

    /// Waits for an Event about an object, and gives its note.
    pub async fn until_event(&self, kind: &str, name: &str, type_: &str, reason: &str) -> String {
        let began = Instant::now();
        loop {
            let events = self.api::<Event>().list(&ListParams::default()).await.expect("Events");
            let about = events.into_iter().find(|event| {
                let object = &event.involved_object;
                object.kind.as_deref() == Some(kind)
                    && object.name.as_deref() == Some(name)
                    && event.reason.as_deref() == Some(reason)
            });
            if let Some(event) = about {
                assert_eq!(event.type_.as_deref(), Some(type_));
                return event.message.unwrap_or_default();
            }
            assert!(began.elapsed() < PATIENCE, "no Event {reason} about {kind} {name}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// All Warning Events of the namespace: of which object, and why.
    pub async fn warnings(&self) -> Vec<String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.expect("Events");
        let warnings = events.into_iter().filter(|event| event.type_.as_deref() == Some("Warning"));
        let line = |event: Event| {
            let (name, reason) = (event.involved_object.name.unwrap_or_default(), event.reason.unwrap_or_default());
            format!("{name} {reason}")
        };
        warnings.map(line).collect()
    }

    /// How often the Deployment `ingest` was patched: an injection is applied, and its part of the container given up.
    pub fn patches_of_ingest(&self) -> usize {
        self.requests().iter().filter(|request| *request == "patch deployments/ingest").count()
    }

    /// What the operator asked the API server about this namespace, by verb and resource.
    pub fn requests(&self) -> Vec<String> {
        let of_namespace = format!("/namespaces/{}/", self.name);
        let requests = self.world.requests_of_operator().into_iter().filter(|(_, uri)| uri.contains(&of_namespace));
        let plain =
            |uri: &str| uri.split('?').next().unwrap_or_default().rsplit_once(&of_namespace).unwrap().1.to_owned();
        requests.map(|(verb, uri)| format!("{verb} {}", plain(&uri))).filter(|r| !r.ends_with(" events")).collect()
    }
}
