//! A control plane from end to end.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use devcluster::{AuditLevel, ControlPlane};

const WIDGETS: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
";

const NO_SECRETS: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-secrets}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]}
  validations: [{expression: "!object.metadata.name.startsWith('forbidden')", message: "this name is taken by nobody"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-secrets}
spec: {policyName: no-secrets, validationActions: [Deny]}
"#;

/// Tries until it holds: some things of Kubernetes come into force a moment after they were accepted.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_control_plane_answers_and_serves_a_crd_and_an_admission_policy() -> Result<()> {
    let begun = Instant::now();
    let plane = ControlPlane::builder().audit(AuditLevel::RequestResponse).start()?;
    println!("ready in {:.1} s", begun.elapsed().as_secs_f64());

    plane.apply(WIDGETS)?;
    plane.kubectl(&["wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=10s"])?;
    plane.apply(
        "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: default}, spec: {size: 3}}",
    )?;
    assert_eq!(plane.kubectl(&["get", "widget", "w", "-o", "jsonpath={.spec.size}"])?, "3");

    plane.apply(NO_SECRETS)?;
    let refusal = eventually("the policy denies", || {
        let name = format!("forbidden-{}", std::process::id());
        let refused = plane.kubectl(&["create", "secret", "generic", &name]).err();
        plane.kubectl(&["delete", "secret", &name, "--ignore-not-found"]).ok();
        refused
    });
    assert!(refusal.to_string().contains("this name is taken by nobody"), "{refusal}");
    plane.kubectl(&["create", "secret", "generic", "welcome", "--from-literal=key=a-value"])?;

    let bodies = std::fs::read_to_string(plane.audit_log())?;
    assert!(bodies.contains("YS12YWx1ZQ=="), "bodies are in the audit log where they are asked for");
    Ok(())
}

#[test]
fn a_service_account_may_do_only_what_its_role_says() -> Result<()> {
    let plane = ControlPlane::start()?;
    plane.kubectl(&["create", "serviceaccount", "reader"])?;
    plane.kubectl(&["create", "role", "reader", "--verb=get,list", "--resource=configmaps"])?;
    plane.kubectl(&["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"])?;
    let kubeconfig = plane.kubeconfig_for_service_account("default", "reader")?;
    let as_reader = ["--kubeconfig", kubeconfig.to_str().expect("UTF-8")];
    plane.kubectl(&[&as_reader[..], &["get", "configmaps"]].concat())?;
    let refusal = plane.kubectl(&[&as_reader[..], &["get", "secrets"]].concat()).expect_err("not allowed");
    assert!(refusal.to_string().contains("Forbidden"), "{refusal}");

    let by_reader: Vec<_> = plane
        .audit_entries()?
        .into_iter()
        .filter(|entry| entry["user"]["username"] == "system:serviceaccount:default:reader")
        .filter(|entry| entry["objectRef"]["resource"] == "secrets")
        .collect();
    assert_eq!(by_reader.len(), 1, "one request is one entry of the audit log: {by_reader:?}");
    Ok(())
}

#[test]
fn the_api_server_can_go_away_and_come_back_with_its_data() -> Result<()> {
    let mut plane = ControlPlane::builder().controller_manager(false).start()?;
    plane.kubectl(&["create", "namespace", "kept"])?;
    plane.stop_api_server();
    let refused = plane.kubectl(&["get", "namespace", "kept"]).expect_err("nobody there");
    assert!(refused.to_string().contains("refused"), "{refused}");
    plane.start_api_server()?;
    plane.kubectl(&["get", "namespace", "kept"])?;

    plane.pause_api_server()?;
    let silent = plane.kubectl(&["get", "namespace", "kept", "--request-timeout=1s"]).expect_err("no answer");
    assert!(
        silent.to_string().to_lowercase().contains("timeout") || silent.to_string().contains("deadline"),
        "{silent}"
    );
    plane.resume_api_server()?;
    plane.kubectl(&["get", "namespace", "kept"])?;
    Ok(())
}

#[test]
fn two_at_once_do_not_collide() -> Result<()> {
    let starts: Vec<_> = (0..2).map(|_| thread::spawn(ControlPlane::start)).collect();
    let planes: Vec<ControlPlane> = starts.into_iter().map(|s| s.join().expect("no panic")).collect::<Result<_>>()?;
    assert_ne!(planes[0].url(), planes[1].url());
    planes[0].kubectl(&["create", "namespace", "only-in-one"])?;
    assert!(planes[1].kubectl(&["get", "namespace", "only-in-one"]).is_err());
    Ok(())
}

#[test]
fn nothing_is_left_after_drop() -> Result<()> {
    let plane = ControlPlane::start()?;
    let (dir, api_server) = (plane.dir().to_owned(), plane.api_server_pid());
    assert!(dir.is_dir());
    let mut guest = std::process::Command::new("sleep");
    plane.tie(guest.arg("1000"));
    let mut guest = guest.spawn()?;
    let begun = Instant::now();
    drop(plane);
    println!("gone in {:.2} s", begun.elapsed().as_secs_f64());
    assert!(!dir.exists());
    assert!(guest.try_wait()?.is_some(), "what was tied to the cluster ended with it");
    assert!(!std::path::Path::new(&format!("/proc/{api_server}")).exists());
    Ok(())
}
