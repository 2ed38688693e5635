//! The cgroup of a box: the kubelet's root, so that the host's own cgroups stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Makes the cgroup `name`; returns where the box's processes belong.
pub(super) fn make(name: &str) -> Result<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() { make_unified(root, name) } else { make_by_controller(root, name) }
}

/// Version 2: one hierarchy. A cgroup that hands controllers down must have no processes, so they get one below.
fn make_unified(root: &Path, name: &str) -> Result<PathBuf> {
    let group = root.join(name);
    let members = group.join("processes");
    fs::create_dir_all(&members).with_context(|| format!("cannot make {}", members.display()))?;
    for parent in [root, &group] {
        let controllers = fs::read_to_string(parent.join("cgroup.controllers"))?;
        for controller in controllers.split_whitespace() {
            // Some cannot be handed down on some hosts; the kubelet says which of those it needs.
            fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}")).ok();
        }
    }
    Ok(members)
}

/// Version 1: a hierarchy for each controller. Only that of `pids` is entered: it is how leftovers are found.
fn make_by_controller(root: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(root)?.flatten().filter(|entry| entry.path().is_dir()) {
        let group = entry.path().join(name);
        fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
        // A new cpuset has no CPUs at all until it is told which.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read(entry.path().join(file)) {
                fs::write(group.join(file), all)?;
            }
        }
    }
    Ok(root.join("pids").join(name))
}
