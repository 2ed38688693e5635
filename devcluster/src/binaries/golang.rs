//! Programs that Go builds: its modules come with checksums, and need no download site of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The text of a folder's `go.mod`.
pub(super) fn module(folder: &Path) -> Result<String> {
    let file = folder.join("go.mod");
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// The version of a module that is a tool of ours.
pub(super) fn required<'a>(go_mod: &'a str, module: &str) -> Result<&'a str> {
    go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .find_map(|line| line.strip_prefix(module)?.strip_prefix(' ')?.split(' ').next())
        .with_context(|| format!("go.mod lacks {module}"))
}

/// Builds `what` (a package, or `tool` for all tools of the module in `folder`) into another folder.
pub(super) fn install(folder: &Path, into: &Path, ldflags: &str, what: &str, missing: &str) -> Result<Command> {
    if Command::new("go").arg("version").output().is_err() {
        bail!("{missing}");
    }
    let mut go = Command::new("go");
    go.args(["install", "-ldflags", ldflags, what]).current_dir(folder).env("CGO_ENABLED", "0").env("GOBIN", into);
    Ok(go)
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
