//! The volume of a flow app's pods: its frozen shape, and how a pod template stands to it. Pure.
//!
//! Stable contract: the plugin and any other runtime build on it, and an upgrade of the operator never edits a template
//! that is already injected.

use k8s_openapi::{
    api::core::v1::{Container, PodTemplateSpec, Volume, VolumeMount, VolumeProjection},
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use serde_json::{Value as Json, json};

use super::workload::WorkloadKind;
use crate::resources::names::{API_CONFIG_MAP, AUDIENCE, FLOW_APP, FLOW_APP_VERSION, MANAGER, REVISION, VOLUME};

/// The concern in the name of our field manager.
pub const CONCERN: &str = "inject";

/// Token lifetimes have this default, so a manifest may leave it out.
const TOKEN_SECONDS: i64 = 3600;

/// What a template is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The FlowApp.
    pub app: &'a str,
    /// The managed Secret.
    pub secret: &'a str,
    /// Where it is mounted.
    pub path: &'a str,
    /// The container; `None` for the first.
    pub container: Option<&'a str>,
}

/// What a workload has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    /// Its pods' template.
    pub template: &'a PodTemplateSpec,
    /// Whether the volume in it is ours, by the managed fields.
    pub owned: bool,
    /// The FlowApp that the workload itself is labelled with: by this an injection is found when it is to be withdrawn.
    pub label: Option<&'a str>,
}

/// How a workload stands to what it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// All of it is there, and we put it there.
    Ours,
    /// All of it is there by the user's own manifest.
    Declared,
    /// Something is missing or names something old, and can be applied.
    Missing {
        /// To this container.
        container: String,
        /// With these sources: those that stand there where they name the right Secret, so that neither a declared nor
        /// an injected volume is ever changed for its spelling.
        sources: Json,
    },
    /// There is no such container.
    NoContainer {
        /// Which.
        container: String,
    },
    /// Somebody else's volume has our name and another shape.
    VolumeConflict,
    /// Somebody else's mount is at our path.
    MountConflict {
        /// In which container.
        container: String,
    },
}

/// Compares what a workload has with what it is to have.
pub fn compare(found: Found, wanted: &Wanted) -> Injection {
    let Found { template, owned, label } = found;
    let spec = template.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let Some(container) = find_container(containers, wanted.container) else {
        return Injection::NoContainer { container: wanted.container.unwrap_or_default().to_owned() };
    };
    let volumes = spec.and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let volume = volumes.iter().find(|volume| volume.name == VOLUME);
    if volume.is_some_and(|volume| !owned && !has_shape(volume, wanted.secret)) {
        return Injection::VolumeConflict;
    }
    let mount = mount_at(container, wanted.path);
    if mount.is_some_and(|mount| !is_whole(mount)) {
        return Injection::MountConflict { container: container.name.clone() };
    }
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    let labelled = labels.and_then(|labels| labels.get(FLOW_APP)).is_some_and(|app| app == wanted.app);
    let standing = volume.filter(|volume| names_secret(volume, wanted.secret)).and_then(projections);
    match (standing.is_some() && mount.is_some() && labelled, owned) {
        (true, false) => Injection::Declared,
        (true, true) if label == Some(wanted.app) => Injection::Ours,
        _ => {
            let sources = standing.map_or_else(|| sources_for(wanted.secret), |sources| json!(sources));
            Injection::Missing { container: container.name.clone(), sources }
        }
    }
}

fn find_container<'a>(containers: &'a [Container], name: Option<&str>) -> Option<&'a Container> {
    match name {
        Some(name) => containers.iter().find(|container| container.name == name),
        None => containers.first(),
    }
}

fn mount_at<'a>(container: &'a Container, path: &str) -> Option<&'a VolumeMount> {
    let segments = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    mounts.iter().find(|mount| segments(&mount.mount_path) == segments(path))
}

/// A part of our volume would not be refreshed: the kubelet never updates a `subPath`.
fn is_whole(mount: &VolumeMount) -> bool {
    let part = |part: &Option<String>| part.as_ref().is_some_and(|part| !part.is_empty());
    mount.name == VOLUME && !part(&mount.sub_path) && !part(&mount.sub_path_expr)
}

fn projections(volume: &Volume) -> Option<&[VolumeProjection]> {
    volume.projected.as_ref()?.sources.as_deref()
}

/// Of a volume that is ours, only the Secret's name may ever change.
fn names_secret(volume: &Volume, secret: &str) -> bool {
    let sources = projections(volume).unwrap_or_default();
    sources.iter().filter_map(|source| source.secret.as_ref()).any(|source| source.name == secret)
}

/// Whether somebody's volume has our shape: the same sources, whatever their order and however defaults are spelt.
fn has_shape(volume: &Volume, secret: &str) -> bool {
    let sources = |list: &[VolumeProjection]| list.iter().cloned().map(plainly).collect::<Vec<_>>();
    let wanted: Vec<VolumeProjection> = serde_json::from_value(sources_for(secret)).expect("our own volume is one");
    let (found, wanted) = (sources(projections(volume).unwrap_or_default()), sources(&wanted));
    found.len() == wanted.len() && wanted.iter().all(|source| found.contains(source))
}

/// A source without what may be spelt in two ways.
fn plainly(mut source: VolumeProjection) -> VolumeProjection {
    if let Some(token) = &mut source.service_account_token {
        token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
    }
    if let Some(items) = source.config_map.as_mut().and_then(|map| map.items.as_mut()) {
        items.sort_by(|a, b| a.path.cmp(&b.path));
    }
    if let Some(items) = source.downward_api.as_mut().and_then(|api| api.items.as_mut()) {
        items.sort_by(|a, b| a.path.cmp(&b.path));
        for field in items.iter_mut().filter_map(|item| item.field_ref.as_mut()) {
            field.api_version.get_or_insert_with(|| "v1".into());
        }
    }
    source
}

/// The sources of the volume. Every one is optional or made by the kubelet, so that pods start before the first sync and after an uninstall.
pub fn sources_for(secret: &str) -> Json {
    let annotation = |name| json!({"fieldPath": format!("metadata.annotations['{name}']")});
    json!([
        {"secret": {"name": secret, "optional": true}},
        {"serviceAccountToken": {"path": ".spacesync/token", "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": API_CONFIG_MAP, "optional": true, "items": [
            {"key": "url", "path": ".spacesync/url"},
            {"key": "ca.crt", "path": ".spacesync/ca.crt"},
        ]}},
        {"downwardAPI": {"items": [
            {"path": ".spacesync/revision", "fieldRef": annotation(REVISION)},
            {"path": ".spacesync/flow-app-version", "fieldRef": annotation(FLOW_APP_VERSION)},
        ]}},
    ])
}

/// What is applied to a workload so that it has all of it. The UID keeps it from creating one that has just gone.
pub fn body(kind: WorkloadKind, meta: (&str, &str, &str), container: &str, sources: &Json, wanted: &Wanted) -> Json {
    let mut body = withdrawal(kind, meta);
    body["metadata"]["labels"] = json!({FLOW_APP: wanted.app});
    body["spec"] = json!({"template": {
        "metadata": {"labels": {FLOW_APP: wanted.app}},
        "spec": {
            "volumes": [{"name": VOLUME, "projected": {"sources": sources}}],
            "containers": [{
                "name": container,
                "volumeMounts": [{"name": VOLUME, "mountPath": wanted.path, "readOnly": true}],
            }],
        },
    }});
    body
}

/// What is applied to a workload to take back exactly what was ours: nothing but who it is.
pub fn withdrawal(kind: WorkloadKind, (namespace, name, uid): (&str, &str, &str)) -> Json {
    let metadata = json!({"namespace": namespace, "name": name, "uid": uid});
    json!({"apiVersion": "apps/v1", "kind": kind.as_str(), "metadata": metadata})
}

/// When we last changed a workload, if anything of its template is ours.
pub fn injected_at(fields: &[ManagedFieldsEntry]) -> Option<jiff::Timestamp> {
    let ours = ours(fields).find(|entry| owned(entry, "/f:spec/f:template"))?;
    Some(ours.time.as_ref().map_or(jiff::Timestamp::UNIX_EPOCH, |at| at.0))
}

/// Whether the volume is ours, alone or together with others. Whoever changes it takes it from us.
pub fn owns_volume(fields: &[ManagedFieldsEntry]) -> bool {
    let sources = format!("/f:spec/f:template/f:spec/f:volumes/k:{{\"name\":\"{VOLUME}\"}}/f:projected/f:sources");
    ours(fields).any(|entry| owned(entry, &sources))
}

fn ours(fields: &[ManagedFieldsEntry]) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let manager = format!("{MANAGER}-{CONCERN}");
    fields.iter().filter(move |entry| entry.manager.as_deref() == Some(&manager))
}

fn owned(entry: &ManagedFieldsEntry, pointer: &str) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(pointer).is_some())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, Time};

    use super::*;

    const WANTED: Wanted<'static> =
        Wanted { app: "ingest", secret: "secrets", path: "/var/run/spacesync", container: None };

    fn read(template: Json) -> PodTemplateSpec {
        serde_json::from_value(template).unwrap()
    }

    fn compared(template: &Json, owned: bool, wanted: &Wanted) -> Injection {
        compare(Found { template: &read(template.clone()), owned, label: Some("ingest") }, wanted)
    }

    /// A user's template with everything, as the API server gives it back: with defaults filled in.
    fn complete() -> Json {
        let mut sources = sources_for("secrets");
        for item in sources[3]["downwardAPI"]["items"].as_array_mut().unwrap() {
            item["fieldRef"]["apiVersion"] = "v1".into();
        }
        json!({
            "metadata": {"labels": {"app": "ingest", FLOW_APP: "ingest"}},
            "spec": {
                "volumes": [
                    {"name": "data", "emptyDir": {}},
                    {"name": "spacesync", "projected": {"defaultMode": 420, "sources": sources}},
                ],
                "containers": [
                    {"name": "node-red", "image": "nr", "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "spacesync", "mountPath": "/var/run/spacesync", "readOnly": true},
                    ]},
                    {"name": "side", "image": "s"},
                ],
            },
        })
    }

    fn bare() -> Json {
        json!({
            "metadata": {"labels": {"app": "ingest"}},
            "spec": {"containers": [{"name": "node-red", "image": "nr"}, {"name": "side", "image": "s"}]},
        })
    }

    /// The complete template with one place changed; `null` removes it.
    fn with(pointer: &str, value: Json) -> Json {
        let mut template = complete();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match (template.pointer_mut(parent).unwrap(), value) {
            (Json::Object(parent), Json::Null) => drop(parent.remove(&name.replace("~1", "/"))),
            (Json::Array(parent), Json::Null) => drop(parent.remove(name.parse().unwrap())),
            (parent, value) => match name.parse::<usize>() {
                Ok(index) => parent[index] = value,
                Err(_) => parent[&name.replace("~1", "/")] = value,
            },
        }
        template
    }

    const SOURCES: &str = "/spec/volumes/1/projected/sources";
    const MOUNT: &str = "/spec/containers/0/volumeMounts/1";

    /// To be injected with a volume of our own making.
    fn missing(container: &str) -> Injection {
        missing_of(container, "secrets")
    }

    fn missing_of(container: &str, secret: &str) -> Injection {
        Injection::Missing { container: container.into(), sources: sources_for(secret) }
    }

    /// To be injected with the volume that stands in this template.
    fn lacking(container: &str, template: &Json) -> Injection {
        Injection::Missing { container: container.into(), sources: template.pointer(SOURCES).unwrap().clone() }
    }

    fn mount_conflict() -> Injection {
        Injection::MountConflict { container: "node-red".into() }
    }

    #[test]
    fn a_template_without_anything_of_ours_is_to_be_injected() {
        assert_eq!(compared(&bare(), false, &WANTED), missing("node-red"));
        let side = Wanted { container: Some("side"), ..WANTED };
        assert_eq!(compared(&bare(), false, &side), missing("side"));
    }

    #[test]
    fn a_template_whose_own_manifest_declares_everything_is_left_alone() {
        assert_eq!(compared(&complete(), false, &WANTED), Injection::Declared);
    }

    #[test]
    fn a_declared_volume_may_be_spelt_in_other_ways() {
        let reversed = |pointer: &str| {
            let mut list = complete().pointer(pointer).unwrap().as_array().unwrap().clone();
            list.reverse();
            with(pointer, list.into())
        };
        let spellings = [
            reversed(SOURCES),
            reversed(&format!("{SOURCES}/2/configMap/items")),
            reversed(&format!("{SOURCES}/3/downwardAPI/items")),
            with(&format!("{SOURCES}/1/serviceAccountToken/expirationSeconds"), Json::Null),
            with(&format!("{SOURCES}/3/downwardAPI/items/0/fieldRef/apiVersion"), Json::Null),
            with("/spec/volumes/1/projected/defaultMode", 288.into()),
            with(&format!("{MOUNT}/readOnly"), Json::Null),
            with(&format!("{MOUNT}/mountPath"), "/var/run//spacesync/".into()),
        ];
        for template in spellings {
            assert_eq!(compared(&template, false, &WANTED), Injection::Declared, "{template}");
        }
    }

    #[test]
    fn what_a_declaration_lacks_is_added_to_it() {
        let label = format!("/metadata/labels/{}", FLOW_APP.replace('/', "~1"));
        for template in [with(MOUNT, Json::Null), with(&label, Json::Null), with(&label, "other".into())] {
            assert_eq!(compared(&template, false, &WANTED), lacking("node-red", &template), "{template}");
        }
        let mut own_spelling = with(MOUNT, Json::Null);
        own_spelling.pointer_mut(SOURCES).unwrap().as_array_mut().unwrap().reverse();
        assert_eq!(compared(&own_spelling, false, &WANTED), lacking("node-red", &own_spelling));
    }

    #[test]
    fn a_volume_of_our_name_and_another_shape_is_refused() {
        let shapes = [
            with("/spec/volumes/1", json!({"name": "spacesync", "emptyDir": {}})),
            with("/spec/volumes/1", json!({"name": "spacesync", "secret": {"secretName": "secrets"}})),
            with(&format!("{SOURCES}/0/secret/name"), "other".into()),
            with(&format!("{SOURCES}/0/secret/optional"), Json::Null),
            with(&format!("{SOURCES}/0/secret/optional"), false.into()),
            with(&format!("{SOURCES}/0/secret/items"), json!([{"key": "A", "path": "A"}])),
            with(&format!("{SOURCES}/1"), Json::Null),
            with(&format!("{SOURCES}/1/serviceAccountToken/audience"), "other".into()),
            with(&format!("{SOURCES}/1/serviceAccountToken/expirationSeconds"), 7200.into()),
            with(&format!("{SOURCES}/2/configMap/items/0"), Json::Null),
            with(&format!("{SOURCES}/2/configMap/name"), "other".into()),
            with(&format!("{SOURCES}/3/downwardAPI/items/0/fieldRef/fieldPath"), "metadata.name".into()),
            with(SOURCES, Json::Null),
        ];
        for template in shapes {
            assert_eq!(compared(&template, false, &WANTED), Injection::VolumeConflict, "{template}");
        }
    }

    #[test]
    fn another_mount_at_our_path_is_refused() {
        let mounts = [
            json!({"name": "data", "mountPath": "/var/run/spacesync"}),
            json!({"name": "data", "mountPath": "/var/run/spacesync/"}),
            json!({"name": "spacesync", "mountPath": "/var/run/spacesync", "subPath": "A"}),
            json!({"name": "spacesync", "mountPath": "/var/run/spacesync", "subPathExpr": "$(A)"}),
        ];
        for mount in mounts {
            for owned in [true, false] {
                assert_eq!(compared(&with(MOUNT, mount.clone()), owned, &WANTED), mount_conflict(), "{mount}");
            }
        }
        let beside = json!({"name": "data", "mountPath": "/var/run"});
        assert_eq!(compared(&with(MOUNT, beside), false, &WANTED), lacking("node-red", &complete()));
    }

    #[test]
    fn a_container_that_is_not_there_is_named() {
        let ghost = Wanted { container: Some("ghost"), ..WANTED };
        let expected = Injection::NoContainer { container: "ghost".into() };
        assert_eq!(compared(&complete(), true, &ghost), expected);
        assert_eq!(compared(&json!({}), false, &ghost), expected);
    }

    #[test]
    fn an_injected_template_is_frozen_whatever_its_shape() {
        for template in [
            complete(),
            with(&format!("{SOURCES}/1"), Json::Null),
            with(&format!("{SOURCES}/1/serviceAccountToken/expirationSeconds"), 7200.into()),
            with(&format!("{SOURCES}/3/downwardAPI/items/1"), Json::Null),
        ] {
            assert_eq!(compared(&template, true, &WANTED), Injection::Ours, "{template}");
        }
    }

    #[test]
    fn an_injected_template_follows_the_spec() {
        let changed = [
            (Wanted { secret: "other", ..WANTED }, missing_of("node-red", "other")),
            (Wanted { path: "/secrets", ..WANTED }, lacking("node-red", &complete())),
            (Wanted { container: Some("side"), ..WANTED }, lacking("side", &complete())),
            (Wanted { app: "renamed", ..WANTED }, lacking("node-red", &complete())),
            (Wanted { path: "/data", ..WANTED }, mount_conflict()),
        ];
        for (wanted, expected) in changed {
            assert_eq!(compared(&complete(), true, &wanted), expected, "{wanted:?}");
        }
    }

    #[test]
    fn the_label_of_the_workload_is_put_back_where_the_injection_is_ours() {
        let template = read(complete());
        let found = |owned, label| compare(Found { template: &template, owned, label }, &WANTED);
        assert_eq!(found(true, None), lacking("node-red", &complete()));
        assert_eq!(found(true, Some("other")), lacking("node-red", &complete()));
        assert_eq!(found(false, None), Injection::Declared);
    }

    #[test]
    fn what_was_undone_is_put_back() {
        // `rollout undo` removes it all, and the managed fields still name us.
        assert_eq!(compared(&bare(), true, &WANTED), missing("node-red"));
    }

    #[test]
    fn what_is_applied_is_the_contract_word_by_word() {
        let body =
            body(WorkloadKind::Deployment, ("ns", "ingest", "u-1"), "node-red", &sources_for("secrets"), &WANTED);
        let expected = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "namespace": "ns",
                "name": "ingest",
                "uid": "u-1",
                "labels": {"spacesync.dev/flow-app": "ingest"},
            },
            "spec": {"template": {
                "metadata": {"labels": {"spacesync.dev/flow-app": "ingest"}},
                "spec": {
                    "volumes": [{"name": "spacesync", "projected": {"sources": [
                        {"secret": {"name": "secrets", "optional": true}},
                        {"serviceAccountToken": {
                            "path": ".spacesync/token",
                            "audience": "spacesync.dev",
                            "expirationSeconds": 3600,
                        }},
                        {"configMap": {"name": "spacesync-api", "optional": true, "items": [
                            {"key": "url", "path": ".spacesync/url"},
                            {"key": "ca.crt", "path": ".spacesync/ca.crt"},
                        ]}},
                        {"downwardAPI": {"items": [
                            {
                                "path": ".spacesync/revision",
                                "fieldRef": {"fieldPath": "metadata.annotations['spacesync.dev/revision']"},
                            },
                            {
                                "path": ".spacesync/flow-app-version",
                                "fieldRef": {"fieldPath": "metadata.annotations['spacesync.dev/flow-app-version']"},
                            },
                        ]}},
                    ]}}],
                    "containers": [{
                        "name": "node-red",
                        "volumeMounts": [{
                            "name": "spacesync",
                            "mountPath": "/var/run/spacesync",
                            "readOnly": true,
                        }],
                    }],
                },
            }},
        });
        assert_eq!(body, expected);
        assert_eq!(compared(&body["spec"]["template"], false, &WANTED), Injection::Declared);
    }

    #[test]
    fn a_withdrawal_says_nothing_but_who() {
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"namespace": "ns", "name": "ingest", "uid": "u-1"},
        });
        assert_eq!(withdrawal(WorkloadKind::StatefulSet, ("ns", "ingest", "u-1")), expected);
    }

    fn fields(manager: &str, fields: Json) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some("Apply".into()),
            time: Some(Time(jiff::Timestamp::from_second(7).unwrap())),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn the_managed_fields_tell_what_is_ours() {
        let volume =
            |of: Json| json!({"f:spec": {"f:template": {"f:spec": {"f:volumes": {"k:{\"name\":\"spacesync\"}": of}}}}});
        let sources = volume(json!({".": {}, "f:name": {}, "f:projected": {"f:sources": {}}}));
        let table = [
            (vec![fields("spacesync-inject", sources.clone())], Some(7), true),
            (vec![fields("kubectl", json!({})), fields("spacesync-inject", sources.clone())], Some(7), true),
            (vec![fields("kubectl", sources)], None, false),
            (vec![fields("spacesync-inject", volume(json!({".": {}, "f:name": {}})))], Some(7), false),
            (vec![fields("spacesync-inject", json!({"f:metadata": {"f:labels": {}}}))], None, false),
            (vec![], None, false),
        ];
        for (entries, at, owns) in table {
            assert_eq!(injected_at(&entries).map(jiff::Timestamp::as_second), at, "{entries:?}");
            assert_eq!(owns_volume(&entries), owns, "{entries:?}");
        }
    }
}
