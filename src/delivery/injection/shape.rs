//! The volume of a flow app's pods: its frozen shape, and what is applied to a workload so that it has it.
//!
//! Stable contract: the plugin and any other runtime build on it, and an upgrade of the operator never edits a template
//! that is already injected.

use k8s_openapi::api::core::v1::{Volume, VolumeProjection};
use serde_json::{Value as Json, json};

use super::Wanted;
use crate::{
    delivery::workload::WorkloadKind,
    resources::names::{API_CONFIG_MAP, AUDIENCE, FLOW_APP, FLOW_APP_VERSION, REVISION, VOLUME},
};

/// Token lifetimes have this default, so a manifest may leave it out.
const TOKEN_SECONDS: i64 = 3600;

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

pub(super) fn projections(volume: &Volume) -> Option<&[VolumeProjection]> {
    volume.projected.as_ref()?.sources.as_deref()
}

/// Of a volume that is ours, only the Secret's name may ever change.
pub(super) fn names_secret(volume: &Volume, secret: &str) -> bool {
    let sources = projections(volume).unwrap_or_default();
    sources.iter().filter_map(|source| source.secret.as_ref()).any(|source| source.name == secret)
}

/// Whether somebody's volume has our shape: the same sources, whatever their order and however defaults are spelt.
pub(super) fn has_shape(volume: &Volume, secret: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::{super::tests::WANTED, *};
    use crate::delivery::injection::{Found, Injection, compare};

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
        let template = serde_json::from_value(body["spec"]["template"].clone()).unwrap();
        let found = Found { template: &template, owned: false, label: Some("ingest") };
        assert_eq!(compare(found, &WANTED), Injection::Declared);
    }

    #[test]
    fn a_withdrawal_says_nothing_but_who() {
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"namespace": "ns", "name": "ingest", "uid": "u-1"},
        });
        assert_eq!(withdrawal(WorkloadKind::StatefulSet, ("ns", "ingest", "u-1")), expected);
    }
}
