//! What a template may look like, and what is said of it.

use super::*;

pub(super) const WANTED: Wanted<'static> =
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
