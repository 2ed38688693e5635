//! kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kubectl and etcd, built by Go.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::once;
use crate::{places, progress};

const GO_MISSING: &str = "Go is missing. It builds Kubernetes and etcd once (5 minutes, 3 GB of cache). \
    Install Go 1.26 or newer from https://go.dev/dl/ or your distribution, or set KUBEBUILDER_ASSETS to a folder that \
    has etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kubectl";

pub(super) fn ensure() -> Result<()> {
    let module = fs::read_to_string(places::source().join("go.mod")).context("cannot read devcluster's go.mod")?;
    let kubernetes = required(&module, "k8s.io/kubernetes")?;
    let etcd = required(&module, "go.etcd.io/etcd/server/v3")?;
    once(&places::bin(), "kubernetes", &format!("kubernetes {kubernetes} etcd {etcd}\n"), |into| {
        if Command::new("go").arg("version").output().is_err() {
            bail!(GO_MISSING);
        }
        let what = format!("building Kubernetes {kubernetes} and etcd {etcd}, once, about 5 minutes");
        eprintln!("{what}");
        let mut go = Command::new("go");
        go.args(["install", "-ldflags", &ldflags(kubernetes), "tool"])
            .current_dir(places::source())
            .env("CGO_ENABLED", "0")
            .env("GOBIN", into);
        progress::run(&what, &mut go, &places::bin().join("kubernetes.log"), || finished(into))?;
        // Go names a binary after its package's folder, and etcd's is called so.
        fs::rename(into.join("server"), into.join("etcd")).context("go install did not make etcd")
    })
}

fn ldflags(version: &str) -> String {
    format!("-s -w -X k8s.io/component-base/version.gitVersion={version}")
}

/// The version of a module that is a tool of ours.
fn required<'a>(go_mod: &'a str, module: &str) -> Result<&'a str> {
    go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .find_map(|line| line.strip_prefix(module)?.strip_prefix(' ')?.split(' ').next())
        .with_context(|| format!("go.mod lacks {module}"))
}

fn finished(into: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(into)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .map(|name| if name == "server" { "etcd".to_owned() } else { name })
        .collect();
    names.sort();
    if names.is_empty() { String::new() } else { format!(" (finished: {})", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::required;

    #[test]
    fn the_version_is_read_from_go_mod() {
        let text =
            "module m\ntool (\n\tk8s.io/kubernetes/cmd/kubectl\n)\nrequire k8s.io/kubernetes v1.34.4 // indirect\n";
        assert_eq!(required(text, "k8s.io/kubernetes").ok(), Some("v1.34.4"));
    }
}
