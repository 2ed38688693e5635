//! What kubectl shows of them.

use serde_json::Value;

use crate::{
    api_server::kubectl,
    sending::{apply, client, install, manifest},
};

#[test]
fn kubectl_shows_how_a_sync_stands() {
    install();
    apply(&[("SpaceSecretSync", "columns", "{}")]);
    let status = r#"{"status":{"space":"newsroom-dev","version":41,"autoSync":"Live","delivery":{"flowApps":1,"pods":7,"loaded":7,"summary":"7/7"},"conditions":[{"type":"Synced","status":"True","reason":"Synced","message":"","lastTransitionTime":"2026-11-01T00:00:00Z"}]}}"#;
    kubectl(&format!("patch sss columns --subresource=status --type=merge -p {status}"), "").done();
    let shown = kubectl("get sss columns", "").done();
    let columns = ["NAME", "SPACE", "VERSION", "SYNCED", "DELIVERED", "AUTO", "SYNC", "AGE"];
    let values = ["columns", "newsroom-dev", "41", "True", "7/7", "Live"];
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], columns, "{shown}");
    assert_eq!(lines[1][..values.len()], values, "{shown}");
}

#[test]
fn the_other_kinds_have_their_columns() {
    install();
    apply(&[
        ("SecretManager", "columns", "{kubernetes: {}}"),
        ("Space", "columns", "{secretManagerRef: {name: columns}}"),
        ("FlowApp", "columns", "{version: 5.3.0, workloadRef: {kind: Deployment, name: a}}"),
    ]);
    for (resource, columns) in [
        ("sm", "NAME STORE READY REASON SPACES CHECKED AGE"),
        ("spaces", "NAME DISPLAY NAME MANAGER BOUND READY REASON AGE"),
        ("fa", "NAME VERSION SYNC INJECTED LOADED RELOAD AGE"),
    ] {
        let shown = kubectl(&format!("get {resource} columns"), "").done();
        let first: Vec<&str> = shown.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(first.join(" "), columns);
    }
}

#[test]
fn the_category_holds_the_namespaced_kinds_and_no_others() {
    install();
    let listed = kubectl("api-resources --categories=spacesync -o name --no-headers", "").done();
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["flowapps.spacesync.dev", "spacesecretsyncs.spacesync.dev"]);
    apply(&[
        ("SpaceSecretSync", "category", "{}"),
        ("FlowApp", "category", "{version: 5.3.0, workloadRef: {kind: Deployment, name: a}}"),
    ]);
    let shown = kubectl("get spacesync -o name", "").done();
    for name in ["spacesecretsync.spacesync.dev/category", "flowapp.spacesync.dev/category"] {
        assert!(shown.lines().any(|line| line == name), "{shown}");
    }
}

#[tokio::test]
async fn kubectl_explain_describes_every_field() {
    let api = client().await;
    install();
    // The document that `kubectl explain` prints from; asking it for each field would take a minute.
    let request = http::Request::get("/openapi/v3/apis/spacesync.dev/v1alpha1").body(Vec::new()).expect("a request");
    let document: Value = serde_json::from_str(&api.request_text(request).await.expect("the document")).expect("JSON");
    let mut fields = 0;
    for kind in ["SecretManager", "Space", "SpaceSecretSync", "FlowApp"] {
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let (_, schema) = schemas.iter().find(|(name, _)| name.ends_with(&format!(".{kind}"))).expect("the kind");
        for part in ["spec", "status"] {
            described(&format!("{kind}.{part}"), &schema["properties"][part], &mut fields);
        }
    }
    assert!(fields > 100, "only {fields} fields were looked at");
    for (field, words) in [
        ("sss.spec.autoSync", "Defaults to Live"),
        ("fa.spec.mountPath", "Defaults to `/var/run/spacesync`"),
        ("spaces.spec.onUnbind", "Defaults to Retain"),
        ("sm.spec.openBao.auth.tokenSecret", "operator's namespace"),
        ("sss", "brings the secrets of the space"),
    ] {
        let explained = kubectl(&format!("explain {field}"), "").done();
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(explained.contains(words), "{field}: {explained}");
    }
}

#[test]
fn status_is_written_apart_from_spec() {
    install();
    let forged = manifest("SpaceSecretSync", "apart", "{autoSync: 1m}") + "status: {space: forged}\n";
    kubectl("apply -f -", &forged).done();
    let read = |path: &str| kubectl(&format!("get sss apart -o jsonpath={{{path}}}"), "").done();
    assert_eq!(read(".status.space"), "", "whoever may write a sync must not write its status");
    let patch = r#"{"status":{"space":"told"},"spec":{"autoSync":"24h"}}"#;
    kubectl(&format!("patch sss apart --subresource=status --type=merge -p {patch}"), "").done();
    assert_eq!(
        (read(".status.space"), read(".spec.autoSync"), read(".metadata.generation")),
        ("told".into(), "1m".into(), "1".into())
    );
}

#[test]
fn installing_them_warns_of_nothing() {
    let said = kubectl("apply --server-side --force-conflicts -f -", &spacesync::cli::crds::stream().expect("YAML"));
    assert!(said.ok && !said.err.contains("Warning"), "{said:?}");
}

fn described(path: &str, schema: &Value, fields: &mut usize) {
    *fields += 1;
    let description = schema["description"].as_str().unwrap_or_default();
    assert!(!description.is_empty(), "kubectl explain has no word on {path}");
    let inner = if schema.get("items").is_some() { &schema["items"] } else { schema };
    for (name, property) in inner["properties"].as_object().into_iter().flatten() {
        described(&format!("{path}.{name}"), property, fields);
    }
}
