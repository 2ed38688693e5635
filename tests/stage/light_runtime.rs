//! Pods of the light runtime (`examples/runtime`), and what each answers.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use devcluster::{Image, Layer};
use serde_json::{Value as Json, json};

use super::runtime::Runtime;

const PACKAGE: &str = "light-runtime";
const PROGRAM: &str = "/usr/local/bin/light-runtime";
/// Where it answers.
pub const PORT: u16 = 8080;

/// Its image, `localhost/light-runtime:1`, with the program as the sources are now. As optimised as this program is.
pub fn image() -> Result<PathBuf> {
    let config = json!({"User": "1000:1000", "Entrypoint": [PROGRAM]});
    Layer::on(Image::Busybox, PACKAGE).program(PROGRAM, built()?).config(config).archive()
}

/// Cargo tells the path of a program only to tests of its own package; so it is asked.
fn built() -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", PACKAGE, "--message-format=json"]).current_dir(super::root());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let out = cargo.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure!(out.status.success(), "{PACKAGE} cannot be built:\n{}", String::from_utf8_lossy(&out.stderr));
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let program = messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned())).next_back();
    program.map(PathBuf::from).context("cargo told no program")
}

/// So many pods of it, which answer with the version and the lengths that they read.
pub fn runtime(pods: usize) -> Runtime {
    Runtime { name: "light runtime", pods, image, program: PROGRAM, objects, port: PORT, path: "/" }
}

/// A namespace for `restricted` pods only, and a Deployment `app` of them. It mounts nothing: that is the operator's part.
pub fn objects(namespace: &str, pods: usize) -> Vec<Json> {
    let labels = json!({"app": "app"});
    let container = json!({
        "name": "runtime", "image": format!("localhost/{PACKAGE}:1"), "ports": [{"containerPort": PORT}],
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]}},
    });
    let pod = json!({
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": true, "runAsUser": user_of(namespace), "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    });
    let enforce = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": enforce}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": namespace},
            "spec": {"replicas": pods, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": pod}}}),
    ]
}

/// Another for each namespace: a user may watch so many folders on a node, often 128, in all pods together.
fn user_of(namespace: &str) -> u32 {
    namespace.bytes().fold(1000, |user, byte| user + u32::from(byte))
}
