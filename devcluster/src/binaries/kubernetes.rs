//! kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, kubectl and etcd, built by Go.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{golang, once};
use crate::{places, progress};

const GO_MISSING: &str = "Go is missing. It builds Kubernetes and etcd once (5 minutes, 3 GB of cache). \
    Install Go 1.26 or newer from https://go.dev/dl/ or your distribution, or set KUBEBUILDER_ASSETS to a folder that \
    has etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kubectl";

pub(super) fn ensure() -> Result<()> {
    let module = golang::module(places::source())?;
    let kubernetes = golang::required(&module, "k8s.io/kubernetes")?;
    let etcd = golang::required(&module, "go.etcd.io/etcd/server/v3")?;
    once(&places::bin(), "kubernetes", &format!("kubernetes {kubernetes} etcd {etcd}\n"), |into| {
        let what = format!("building Kubernetes {kubernetes} and etcd {etcd}, once, about 5 minutes");
        eprintln!("{what}");
        let mut go = golang::install(places::source(), into, &ldflags(kubernetes), "tool", GO_MISSING)?;
        progress::run(&what, &mut go, &places::bin().join("kubernetes.log"), || finished(into))?;
        // Go names a binary after its package's folder, and etcd's is called so.
        fs::rename(into.join("server"), into.join("etcd")).context("go install did not make etcd")
    })
}

/// By itself, for those who have the others from elsewhere; where they were built here, all of it is in Go's cache.
pub(super) fn ensure_proxy() -> Result<()> {
    let module = golang::module(places::source())?;
    let version = golang::required(&module, "k8s.io/kubernetes")?;
    once(&places::bin(), "kube-proxy", &format!("kube-proxy {version}\n"), |into| {
        let what = format!("building kube-proxy {version}, once");
        let package = "k8s.io/kubernetes/cmd/kube-proxy";
        let mut go = golang::install(places::source(), into, &ldflags(version), package, GO_MISSING)?;
        progress::run(&what, &mut go, &places::bin().join("kube-proxy.log"), String::new)
    })
}

fn ldflags(version: &str) -> String {
    format!("-s -w -X k8s.io/component-base/version.gitVersion={version}")
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
