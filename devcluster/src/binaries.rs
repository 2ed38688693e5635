//! The real binaries: found where they are, else built or fetched once into `.dev/bin`.
//!
//! `KUBEBUILDER_ASSETS` comes first, for those found in it. Kubernetes, etcd and Helm are built from source, because their Go
//! modules come with checksums (`go.mod` and `go.sum` beside this crate) and need no download site of their own.

mod debian;
mod golang;
mod helm;
mod kubernetes;
mod openbao;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use debian::ensure_container_runtime;

use crate::places;

/// A binary this crate can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Tool {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubelet,
    KubeProxy,
    Kubectl,
    Helm,
    Bao,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubectl,
        Self::Helm,
        Self::Bao,
    ];

    /// The name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::Bao => "bao",
        }
    }
}

/// The path of a binary. The first call on a machine builds or fetches it, with progress on standard error; later ones
/// are instant.
pub fn find(tool: Tool) -> Result<PathBuf> {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|dir| Path::new(&dir).join(tool.file_name()));
    if let Some(path) = given.filter(|path| path.is_file()) {
        return Ok(std::path::absolute(path)?);
    }
    match tool {
        Tool::Bao => openbao::ensure()?,
        Tool::Helm => helm::ensure()?,
        Tool::KubeProxy => kubernetes::ensure_proxy()?,
        _ => kubernetes::ensure()?,
    }
    Ok(places::bin().join(tool.file_name()))
}

/// Where binaries are kept that were built or fetched.
pub fn folder() -> PathBuf {
    places::bin()
}

/// Does `work`, whose files go to `into` when all is done, unless the stamp says it was done for this very `version`; two processes at once do it once.
pub(crate) fn once(into: &Path, what: &str, version: &str, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let stamp = into.join(format!("{what}.version"));
    let done = || fs::read_to_string(&stamp).is_ok_and(|text| text == version);
    if done() {
        return Ok(());
    }
    let _lock = lock(into, what)?;
    if done() {
        return Ok(());
    }
    // What is not whole never has the final name.
    let unfinished = into.join(format!(".{what}"));
    fs::create_dir_all(&unfinished)?;
    work(&unfinished)?;
    for entry in fs::read_dir(&unfinished)?.flatten() {
        fs::rename(entry.path(), into.join(entry.file_name()))?;
    }
    fs::remove_dir_all(&unfinished)?;
    fs::write(&stamp, version)?;
    Ok(())
}

/// Waits until no other process gets the same ready.
fn lock(folder: &Path, what: &str) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = File::create(folder.join(format!(".{what}.lock")))?;
    if lock.try_lock().is_err() {
        eprintln!("{what}: another process is getting it ready, waiting for that");
        lock.lock()?;
    }
    Ok(lock)
}
