//! What is generated is what the code makes, and says what it must. No cluster needed.

use std::{collections::BTreeMap, fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use spacesync::{cli, pod_api, resources::crds};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn crds_on_disk_are_those_the_code_makes() {
    let folder = Path::new(REPOSITORY).join("crds");
    let on_disk: BTreeMap<String, String> = fs::read_dir(&folder)
        .expect("crds/")
        .map(|entry| entry.expect("a file of crds/").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "kustomization.yaml"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a readable file"))
        })
        .collect();
    let made: BTreeMap<String, String> = cli::crds::files().expect("the definitions as YAML").into_iter().collect();
    assert_eq!(on_disk.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>(), "run `make generate`");
    for (name, text) in &made {
        assert!(on_disk[name] == *text, "crds/{name} is not what the code makes: run `make generate`");
    }
}

#[test]
fn the_reference_of_reasons_is_current() {
    let on_disk = fs::read_to_string(Path::new(REPOSITORY).join("docs/reference/reasons.md")).unwrap_or_default();
    assert!(
        on_disk == cli::reasons::page(),
        "docs/reference/reasons.md is not what the code makes: run `make generate`"
    );
}

#[test]
fn the_reference_of_metrics_is_current() {
    let on_disk = fs::read_to_string(Path::new(REPOSITORY).join("docs/reference/metrics.md")).unwrap_or_default();
    assert!(
        on_disk == cli::metrics::page(),
        "docs/reference/metrics.md is not what the code makes: run `make generate`"
    );
}

#[test]
fn the_document_of_the_pods_api_is_current() {
    let on_disk = fs::read_to_string(Path::new(REPOSITORY).join("docs/reference/pods-api.yaml")).unwrap_or_default();
    assert!(
        on_disk == pod_api::openapi::page().expect("the document as YAML"),
        "docs/reference/pods-api.yaml is not what the code makes: run `make generate`"
    );
}

#[test]
fn no_schema_holds_a_default() {
    each_field(|path, field| assert!(field.default.is_none(), "{path} has a default: they live in the operator"));
}

#[test]
fn each_field_is_described() {
    each_field(|path, field| {
        let description = field.description.as_deref().unwrap_or_default();
        assert!(!description.is_empty(), "{path} has no description for kubectl explain");
    });
}

#[test]
fn number_formats_are_those_that_the_api_server_knows() {
    each_field(|path, field| {
        let known = [None, Some("int32"), Some("int64"), Some("double"), Some("date-time")];
        assert!(known.contains(&field.format.as_deref()), "{path}: {:?}", field.format);
    });
}

#[test]
fn a_field_with_a_default_says_so() {
    let defaulted = [
        ("SecretManager", "spec.openBao.mount"),
        ("SecretManager", "spec.openBao.pathPrefix"),
        ("SecretManager", "spec.limits.concurrency"),
        ("SecretManager", "spec.limits.perSecond"),
        ("Space", "spec.path"),
        ("Space", "spec.onUnbind"),
        ("SpaceSecretSync", "spec.autoSync"),
        ("SpaceSecretSync", "spec.suspend"),
        ("SpaceSecretSync", "spec.target.name"),
        ("SpaceSecretSync", "spec.target.deletionPolicy"),
        ("SpaceSecretSync", "spec.onSourceGone"),
        ("FlowApp", "spec.container"),
        ("FlowApp", "spec.mountPath"),
        ("FlowApp", "spec.reload"),
        ("FlowApp", "spec.syncOnSave"),
    ];
    let mut descriptions = BTreeMap::new();
    each_field(|path, field| {
        descriptions.insert(path.to_owned(), field.description.clone().unwrap_or_default());
    });
    for (kind, field) in defaulted {
        let description = &descriptions[&format!("{kind}.{field}")];
        assert!(description.contains("Defaults to"), "{kind}.{field}: {description}");
    }
}

/// Calls for every property of every schema, with its path such as `Space.spec.path`.
fn each_field(mut check: impl FnMut(&str, &JSONSchemaProps)) {
    for crd in crds() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            walk(&crd.spec.names.kind, schema.expect("a schema"), &mut check);
        }
    }
}

fn walk(path: &str, schema: &JSONSchemaProps, check: &mut impl FnMut(&str, &JSONSchemaProps)) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        check(&path, property);
        walk(&path, property, check);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(path, items, check);
    }
}
