//! What the manifests in `deploy/` let the operator and the tenants do, on a real API server.

mod api_server;

use std::{
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use api_server::kubectl;

const OPERATOR: &str = "--as=system:serviceaccount:spacesync-system:spacesync";
/// More rights on Secrets than its role has: what is refused to it now is refused by the policy.
const AND_MORE: &str = "--as-group=all-secrets --as-group=system:authenticated";
const OWN: &str = "spacesync-system";

#[test]
fn installing_it_warns_of_nothing() {
    install();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    for folder in [folder.to_owned(), format!("{folder}/samples")] {
        let said = kubectl(&format!("apply --server-side --force-conflicts -k {folder}"), "");
        assert!(said.ok && said.err.is_empty(), "{said:?}");
    }
    for policy in ["spacesync-own-namespace", "spacesync-managed-secrets", "spacesync-settings"] {
        let path = "-o jsonpath={.status.typeChecking}";
        let checked = kubectl(&format!("get validatingadmissionpolicy {policy} {path}"), "").done();
        assert!(matches!(checked.as_str(), "" | "{}"), "{policy}: {checked}");
    }
}

#[test]
fn the_samples_leave_to_people_what_people_set_in_the_editor() {
    let samples = kubectl(&format!("kustomize {}/deploy/samples", env!("CARGO_MANIFEST_DIR")), "").done();
    for (kind, field) in [("SpaceSecretSync", "autoSync"), ("FlowApp", "syncOnSave")] {
        assert!(samples.contains(&format!("kind: {kind}")), "{samples}");
        assert!(!samples.contains(&format!("{field}:")), "a {kind} sets {field}");
    }
}

#[test]
fn the_operator_cannot_write_a_spaces_secrets_even_where_rbac_would_let_it() {
    install();
    let entry =
        "Secret space-newsroom-dev is an entry of the embedded store: the operator reads those and never writes them";
    refused(&format!("create -n {OWN} -f -"), &secret("space-other", ""), &entry.replace("newsroom-dev", "other"));
    refused(&format!("replace -n {OWN} -f -"), &secret("space-newsroom-dev", ""), entry);
    refused(&format!("patch secret space-newsroom-dev -n {OWN} -p {{\"data\":{{\"A\":\"eA==\"}}}}"), "", entry);
    refused(&format!("apply --server-side --force-conflicts -n {OWN} -f -"), &secret("space-newsroom-dev", ""), entry);
    refused(&format!("delete secret space-newsroom-dev -n {OWN}"), "", entry);
    refused(&format!("delete --raw /api/v1/namespaces/{OWN}/secrets"), "", "only its own Secrets, named spacesync-*");
    // generateName: the name is the server's, the prefix is checked all the same.
    let generated = secret("", "").replace("name: \"\"", "generateName: space-");
    refused(&format!("create -n {OWN} -f -"), &generated, "is an entry of the embedded store");
}

#[test]
fn in_its_own_namespace_the_operator_writes_its_own_secrets_and_no_others() {
    install();
    kubectl(&format!("create -n {OWN} -f -"), &secret("bao-token", "")).done();
    let says = "in its own namespace the operator writes only its own Secrets, named spacesync-*: not bao-token";
    refused(&format!("replace -n {OWN} -f -"), &secret("bao-token", ""), says);
    refused(&format!("delete secret bao-token -n {OWN}"), "", says);
    refused(&format!("create -n {OWN} -f -"), &secret("other", ""), "named spacesync-*: not other");
    allowed(&format!("create -n {OWN} -f -"), &secret("spacesync-api-tls", ""));
    allowed(&format!("replace -n {OWN} -f -"), &secret("spacesync-api-tls", ""));
    allowed(&format!("delete secret spacesync-api-tls -n {OWN}"), "");
    // One of the first would be filled with the token of an account there, one of the second lets a machine join.
    let account = "annotations: {kubernetes.io/service-account.name: spacesync}";
    for type_ in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"] {
        let token = secret("spacesync-token", account).replace("type: Opaque", &format!("type: {type_}"));
        refused(&format!("create -n {OWN} -f -"), &token, &format!("the operator makes no Secrets of type {type_}"));
    }
    allowed(&format!("get secret space-newsroom-dev -n {OWN}"), "");
    allowed(&format!("get secret bao-token -n {OWN}"), "");
    // Here and not above, for it takes along what the operator may delete.
    refused(&format!("delete secrets -n {OWN} --all"), "", "is an entry of the embedded store");
}

#[test]
fn elsewhere_the_operator_writes_managed_secrets_and_no_others() {
    install();
    let ours = "labels: {spacesync.dev/sync: secrets}";
    allowed("create -n newsroom-dev -f -", &secret("secrets", ours));
    allowed("replace -n newsroom-dev -f -", &secret("secrets", ours));
    // Retain: it lets go of what it managed.
    allowed("replace -n newsroom-dev -f -", &secret("secrets", ""));

    let says = "the operator writes only Secrets that are labelled spacesync.dev/sync, or whose owner consented";
    refused("create -n newsroom-dev -f -", &secret("foreign", ""), says);
    kubectl("create -n newsroom-dev -f -", &secret("foreign", "")).done();
    refused("replace -n newsroom-dev -f -", &secret("foreign", ours), says);
    refused("delete secret foreign -n newsroom-dev", "", says);

    kubectl("annotate secret foreign -n newsroom-dev spacesync.dev/adopt=secrets", "").done();
    allowed("replace -n newsroom-dev -f -", &secret("foreign", ours));
    // One that is immutable or of another type can only be made anew.
    let consents = "annotations: {spacesync.dev/adopt: secrets}";
    kubectl("create -n newsroom-dev -f -", &secret("immutable", consents)).done();
    allowed("delete secret immutable -n newsroom-dev", "");
    refused("create -n newsroom-dev -f -", &secret("consent-of-its-own", consents), says);

    let token = secret("token", &format!("{ours}, annotations: {{kubernetes.io/service-account.name: default}}"))
        .replace("type: Opaque", "type: kubernetes.io/service-account-token");
    let says = "the operator makes no Secrets of type kubernetes.io/service-account-token";
    refused("create -n kube-system -f -", &token, says);
    let own = secret("own", ours).replace("type: Opaque", "type: example.org/own");
    allowed("create -n newsroom-dev -f -", &own);
}

#[test]
fn of_syncs_and_flow_apps_the_operator_sets_what_the_sidebar_offers_and_nothing_else() {
    install();
    let sync = "patch sss secrets -n newsroom-dev --type=merge -p";
    let app = "patch flowapp ingest -n newsroom-dev --type=merge -p";
    allowed(&format!(r#"{sync} {{"metadata":{{"annotations":{{"spacesync.dev/sync-requested":"manual/1"}}}}}}"#), "");
    allowed(&format!(r#"{sync} {{"metadata":{{"annotations":{{"spacesync.dev/sync-requested":null}}}}}}"#), "");
    for value in [r#""1m""#, r#""Manual""#, "null"] {
        allowed(&format!(r#"{sync} {{"spec":{{"autoSync":{value}}}}}"#), "");
    }
    for value in ["false", "true", "null"] {
        allowed(&format!(r#"{app} {{"spec":{{"syncOnSave":{value}}}}}"#), "");
    }
    let spec = "the operator sets autoSync and nothing else";
    for field in [
        r#""suspend":true"#,
        r#""target":null"#,
        r#""target":{"name":"other"}"#,
        r#""keys":{"include":["A"]}"#,
        r#""autoSync":"1m","onSourceGone":"Delete""#,
    ] {
        refused(&format!(r#"{sync} {{"spec":{{{field}}}}}"#), "", spec);
    }
    let spec = "the operator sets syncOnSave and nothing else";
    for field in [r#""workloadRef":{"name":"other"}"#, r#""container":null"#, r#""reload":"Restart""#] {
        refused(&format!(r#"{app} {{"spec":{{{field}}}}}"#), "", spec);
    }
    let annotations = "of annotations the operator sets spacesync.dev/sync-requested of a sync and nothing else";
    refused(&format!(r#"{sync} {{"metadata":{{"annotations":{{"a":"b"}}}}}}"#), "", annotations);
    refused(
        &format!(r#"{app} {{"metadata":{{"annotations":{{"spacesync.dev/sync-requested":"x"}}}}}}"#),
        "",
        annotations,
    );
    let others = "the operator sets no labels, finalizers and owners";
    refused(&format!(r#"{sync} {{"metadata":{{"labels":{{"a":"b"}}}}}}"#), "", others);
    refused(&format!(r#"{app} {{"metadata":{{"finalizers":["a.example/b"]}}}}"#), "", others);
    // The field of one kind is not the other's, and other people set what they like.
    let made =
        "apiVersion: spacesync.dev/v1alpha1\nkind: SpaceSecretSync\nmetadata: {name: other}\nspec: {suspend: true}\n";
    refused("apply --server-side -n newsroom-dev -f -", made, "nothing else");
    kubectl(&format!(r#"{sync} {{"spec":{{"suspend":true}}}}"#), "").done();
    allowed(&format!(r#"{sync} {{"spec":{{"autoSync":"30m"}}}}"#), "");
    kubectl(&format!(r#"{sync} {{"spec":{{"suspend":null,"autoSync":null}}}}"#), "").done();
}

#[test]
fn the_operators_pods_are_admitted_where_the_restricted_standard_is_enforced() {
    install();
    let level = "-o jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}";
    assert_eq!(kubectl(&format!("get namespace {OWN} {level}"), "").done(), "restricted");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/operator.yaml");
    let made = kubectl(&format!("create -f {file} --dry-run=client -o json"), "").done();
    let objects = serde_json::Deserializer::from_str(&made).into_iter::<serde_json::Value>();
    let deployment = objects.map(Result::unwrap).find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "probe".into();
    let create = format!("create -n {OWN} --dry-run=server -f -");
    let said = kubectl(&create, &pod.to_string());
    assert!(said.ok && said.err.is_empty(), "{said:?}");
    // And it is enforced: without any one of these it is not.
    for pointer in [
        "/spec/securityContext/runAsNonRoot",
        "/spec/securityContext/seccompProfile",
        "/spec/containers/0/securityContext/allowPrivilegeEscalation",
        "/spec/containers/0/securityContext/capabilities",
    ] {
        let mut less = pod.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let taken = less.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        assert!(taken.is_some(), "{pointer}");
        let said = kubectl(&create, &less.to_string());
        assert!(!said.ok && said.err.contains("violates PodSecurity \"restricted"), "{pointer}: {said:?}");
    }
}

#[test]
fn other_people_write_the_embedded_store_as_before() {
    install();
    kubectl(&format!("create -n {OWN} -f -"), &secret("space-people", "")).done();
    kubectl(&format!("delete secret space-people -n {OWN}"), "").done();
}

#[test]
fn the_operators_role_holds_what_it_needs_and_not_more() {
    install();
    for (may, question) in [
        ("yes", "list secretmanagers.spacesync.dev"),
        ("yes", "watch spaces.spacesync.dev"),
        ("yes", "list spacesecretsyncs.spacesync.dev -A"),
        ("yes", "watch flowapps.spacesync.dev -A"),
        ("yes", "patch spacesecretsyncs.spacesync.dev --subresource=status -n newsroom-dev"),
        // Of these only what policy.yaml lets through.
        ("yes", "patch spacesecretsyncs.spacesync.dev -n newsroom-dev"),
        ("yes", "patch flowapps.spacesync.dev -n newsroom-dev"),
        ("no", "update spacesecretsyncs.spacesync.dev -n newsroom-dev"),
        ("no", "create spacesecretsyncs.spacesync.dev -n newsroom-dev"),
        ("no", "patch spaces.spacesync.dev"),
        ("no", "patch secretmanagers.spacesync.dev"),
        ("no", "update spaces.spacesync.dev"),
        ("no", "create spaces.spacesync.dev"),
        ("no", "delete flowapps.spacesync.dev -n newsroom-dev"),
        ("yes", "get pods -n newsroom-dev"),
        ("yes", "patch pods --subresource=status -n newsroom-dev"),
        ("no", "patch pods -n newsroom-dev"),
        ("yes", "create tokenreviews.authentication.k8s.io"),
        ("no", "update pods -n newsroom-dev"),
        ("no", "create pods -n newsroom-dev"),
        ("no", "create pods --subresource=exec -n newsroom-dev"),
        ("yes", "patch deployments.apps -n newsroom-dev"),
        ("yes", "patch statefulsets.apps -n newsroom-dev"),
        ("no", "create deployments.apps -n newsroom-dev"),
        ("no", "patch daemonsets.apps -n newsroom-dev"),
        ("yes", "update secrets -n newsroom-dev"),
        ("no", "deletecollection secrets -n newsroom-dev"),
        ("yes", "create configmaps -n newsroom-dev"),
        ("yes", "list configmaps/spacesync-api -n newsroom-dev"),
        ("yes", "watch configmaps/spacesync-api -A"),
        ("yes", "patch configmaps/spacesync-api -n newsroom-dev"),
        ("yes", "delete configmaps/spacesync-api -n newsroom-dev"),
        // Of all others, on some of which a cluster stands, it sees and changes none.
        ("no", "list configmaps -n newsroom-dev"),
        ("no", "watch configmaps -A"),
        ("no", "patch configmaps -n newsroom-dev"),
        ("no", "patch configmaps/coredns -n kube-system"),
        ("no", "delete configmaps/coredns -n kube-system"),
        ("no", "deletecollection configmaps -n newsroom-dev"),
        // The CA bundles that stores name are its own to read, and nobody's to write.
        ("yes", "watch configmaps -n spacesync-system"),
        ("no", "patch configmaps/openbao-ca -n spacesync-system"),
        ("yes", "create events.events.k8s.io -n newsroom-dev"),
        ("yes", "get customresourcedefinitions.apiextensions.k8s.io/flowapps.spacesync.dev"),
        ("no", "list customresourcedefinitions.apiextensions.k8s.io"),
        ("yes", "update leases.coordination.k8s.io/spacesync -n spacesync-system"),
        ("no", "update leases.coordination.k8s.io -n spacesync-system"),
        ("no", "get configmaps -n newsroom-dev"),
        ("no", "get spaces.spacesync.dev"),
        ("no", "update leases.coordination.k8s.io -n kube-system"),
        ("no", "create serviceaccounts/token -n newsroom-dev"),
        ("yes", "create serviceaccounts/spacesync --subresource=token -n spacesync-system"),
        ("no", "create serviceaccounts/default --subresource=token -n spacesync-system"),
        ("no", "create serviceaccounts/spacesync --subresource=token -n newsroom-dev"),
        ("no", "impersonate users"),
        ("no", "create clusterrolebindings.rbac.authorization.k8s.io"),
    ] {
        let said = kubectl(&format!("auth can-i {question} {OPERATOR}"), "");
        assert_eq!(said.out.trim(), may, "{question}: {}", said.err);
    }
}

#[test]
fn tenants_edit_their_syncs_and_flow_apps_and_never_a_space() {
    install();
    kubectl("create rolebinding editors --clusterrole=edit --user=eda -n newsroom-dev", "").done();
    kubectl("create rolebinding viewers --clusterrole=view --user=vic -n newsroom-dev", "").done();
    // The controller manager puts the aggregated roles together.
    within(Duration::from_secs(20), || {
        let said = kubectl("auth can-i create flowapps.spacesync.dev -n newsroom-dev --as=eda", "");
        if said.ok { Ok(()) } else { Err(said.out) }
    });
    for (may, user, question) in [
        ("yes", "eda", "patch spacesecretsyncs.spacesync.dev -n newsroom-dev"),
        ("yes", "eda", "list flowapps.spacesync.dev -n newsroom-dev"),
        ("no", "eda", "patch spacesecretsyncs.spacesync.dev --subresource=status -n newsroom-dev"),
        ("no", "eda", "patch pods --subresource=status -n newsroom-dev"),
        ("no", "eda", "create spacesecretsyncs.spacesync.dev -n default"),
        ("no", "eda", "create spaces.spacesync.dev"),
        ("no", "eda", "get spaces.spacesync.dev"),
        ("no", "eda", "get secretmanagers.spacesync.dev"),
        ("no", "eda", "get secrets -n spacesync-system"),
        ("yes", "vic", "get spacesecretsyncs.spacesync.dev -n newsroom-dev"),
        ("yes", "vic", "watch flowapps.spacesync.dev -n newsroom-dev"),
        ("no", "vic", "patch spacesecretsyncs.spacesync.dev -n newsroom-dev"),
        ("no", "vic", "create flowapps.spacesync.dev -n newsroom-dev"),
        ("no", "vic", "get spaces.spacesync.dev"),
    ] {
        let said = kubectl(&format!("auth can-i {question} --as={user}"), "");
        assert_eq!(said.out.trim(), may, "{user}: {question}: {}", said.err);
    }
}

// ---------------------------------------------------------------------------------------------------------------------

/// `deploy/` and its samples, in force.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
        kubectl(&format!("apply --server-side -k {folder}"), "").done();
        api_server::served("sss");
        kubectl(&format!("apply --server-side -k {folder}/samples"), "").done();
        kubectl("create clusterrole all-secrets --verb=* --resource=secrets", "").done();
        kubectl("create clusterrolebinding all-secrets --clusterrole=all-secrets --group=all-secrets", "").done();
        kubectl("create clusterrole all-syncs --verb=* --resource=sss,flowapps", "").done();
        kubectl("create clusterrolebinding all-syncs --clusterrole=all-syncs --group=all-secrets", "").done();
        // The API server takes a moment to put a new policy in force.
        for namespace in [OWN, "newsroom-dev"] {
            within(Duration::from_secs(20), || {
                let said =
                    kubectl(&format!("create -n {namespace} --dry-run=server -f - {OPERATOR}"), &secret("probe", ""));
                if said.err.contains("ValidatingAdmissionPolicy") { Ok(()) } else { Err(said.err) }
            });
        }
        within(Duration::from_secs(20), || {
            let suspend =
                r#"patch sss secrets -n newsroom-dev --dry-run=server --type=merge -p {"spec":{"suspend":true}}"#;
            let said = kubectl(&format!("{suspend} {OPERATOR}"), "");
            if said.err.contains("ValidatingAdmissionPolicy") { Ok(()) } else { Err(said.err) }
        });
    });
}

fn within(patience: Duration, mut attempt: impl FnMut() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(why) = attempt() {
        assert!(began.elapsed() < patience, "{why}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn secret(name: &str, meta: &str) -> String {
    let meta = if meta.is_empty() { String::new() } else { format!(", {meta}") };
    format!("apiVersion: v1\nkind: Secret\ntype: Opaque\nmetadata: {{name: \"{name}\"{meta}}}\nstringData: {{A: x}}\n")
}

#[track_caller]
fn allowed(line: &str, input: &str) {
    kubectl(&format!("{line} {OPERATOR} {AND_MORE}"), input).done();
}

#[track_caller]
fn refused(line: &str, input: &str, says: &str) {
    let said = kubectl(&format!("{line} {OPERATOR} {AND_MORE}"), input);
    assert!(!said.ok, "{line} was let through: {}", said.out);
    assert!(
        said.err.contains("ValidatingAdmissionPolicy 'spacesync-") && said.err.contains(says),
        "{line}: {}",
        said.err
    );
}
