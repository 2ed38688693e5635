//! containerd and what it needs, from the distribution.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::lock;
use crate::{places, progress};

/// What must be there, and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/bin/ctr", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/python3", "python3"),
];

/// Makes sure that a node can run here: root, and containerd & co. installed.
pub fn ensure_container_runtime() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "a node needs root: it makes namespaces, mounts and network devices. Run this with sudo, or do without the node"
        );
    }
    if missing().is_empty() {
        return Ok(());
    }
    let _lock = lock(&places::bin(), "container-runtime")?;
    install(&missing())?;
    match missing().as_slice() {
        [] => Ok(()),
        still => bail!("{} did not bring all that a node needs", still.join(", ")),
    }
}

fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = NEEDED.iter().filter(|(file, _)| !there(file)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").is_file() {
        bail!("a node needs {names}, and there is no apt-get to install them with: install them by hand");
    }
    let log = places::bin().join("container-runtime.log");
    let what = format!("installing {names}");
    // A fresh image has no package lists, an old one stale ones; most need no update.
    if progress::run(&what, &mut apt_get(&["install"], packages), &log, String::new).is_err() {
        progress::run("updating the package lists", &mut apt_get(&["update"], &[]), &log, String::new)?;
        progress::run(&what, &mut apt_get(&["install"], packages), &log, String::new)?;
    }
    Ok(())
}

/// Debian has merged `/bin` and `/sbin` into `/usr`; others differ in which of the two `bin` folders has a binary.
fn there(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    Path::new(file).exists()
        || (!file.contains("/lib/") && ["/usr/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(name).exists()))
}

fn apt_get(action: &[&str], packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-y").args(action).env("DEBIAN_FRONTEND", "noninteractive");
    if !packages.is_empty() {
        command.arg("--no-install-recommends").args(packages);
    }
    command
}
