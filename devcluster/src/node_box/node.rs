//! What one does with a node, however it was started.

use std::fs;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::NODE;
use crate::cluster::Cluster;
use crate::component::wait;

const KUBELET_LIMIT: Duration = Duration::from_secs(30);

/// A [`Cluster`] with a node in a box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) init: u32,
    pub(crate) host_address: IpAddr,
}

impl Node {
    /// The address at which pods reach what listens on the host (on this address, or on all).
    pub fn host_address(&self) -> IpAddr {
        self.host_address
    }

    /// The box's process 1, as the host sees it.
    pub fn init_pid(&self) -> u32 {
        self.init
    }

    /// Runs a program of the host inside the box's namespaces (`ctr`, `ip`, ...); returns what it prints.
    pub fn exec_in_box(&self, program: &str, args: &[&str]) -> Result<String> {
        let init = self.init.to_string();
        let out = Command::new("nsenter")
            .args(["--target", &init, "--mount", "--pid", "--net", "--", program])
            .args(args)
            .output()
            .context("cannot run nsenter")?;
        if !out.status.success() {
            bail!("{program} {} in the box: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Kills the kubelet, which is started again as on every node; returns when the next one serves. Pods run on meanwhile.
    pub fn restart_kubelet(&self) -> Result<()> {
        let file = self.dir().join("kubelet.pid");
        let before = fs::read_to_string(&file).context("no kubelet was started")?;
        self.exec_in_box("kill", &["-KILL", &before])?;
        let is_another = || fs::read_to_string(&file).is_ok_and(|pid| !pid.is_empty() && pid != before);
        let health = format!("/api/v1/nodes/{NODE}/proxy/healthz");
        wait("the next kubelet", KUBELET_LIMIT, &mut [], || {
            is_another() && self.kubectl(&["get", "--raw", &health]).is_ok()
        })
    }

    /// The folder of a pod's projected volume as the kubelet writes it, readable as root from the host and without any
    /// detour: for measuring when a file arrives.
    pub fn pod_volume_dir(&self, pod_uid: &str, volume: &str) -> PathBuf {
        self.volume_dir(pod_uid, "kubernetes.io~projected", volume)
    }

    /// The same for a volume of another kind: `kubernetes.io~secret`, `kubernetes.io~configmap`,
    /// `kubernetes.io~empty-dir`, `kubernetes.io~downward-api`.
    pub fn volume_dir(&self, pod_uid: &str, plugin: &str, volume: &str) -> PathBuf {
        // By way of process 1, because volumes are mounts that only the box sees.
        let root = format!("/proc/{}/root/var/lib/kubelet/pods", self.init);
        PathBuf::from(root).join(pod_uid).join("volumes").join(plugin).join(volume)
    }
}

impl Deref for Node {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}
