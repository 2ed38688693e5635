//! Where things are kept: all of it below one folder, `.dev` in the workspace, which git ignores.

use std::env;
use std::path::{Path, PathBuf};

/// This crate's own folder: the Go module that names Kubernetes and etcd as tools, and the node's Python.
pub(crate) fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `SPACESYNC_DEV`, else `<workspace>/.dev`.
pub(crate) fn dev() -> PathBuf {
    match env::var_os("SPACESYNC_DEV") {
        // Components run in folders of their own, so a relative path must not reach them.
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None => source().parent().unwrap_or(source()).join(".dev"),
    }
}

/// Binaries built or fetched once.
pub(crate) fn bin() -> PathBuf {
    dev().join("bin")
}

/// One folder a run; gone when the run is over.
pub(crate) fn runs() -> PathBuf {
    dev().join("run")
}
