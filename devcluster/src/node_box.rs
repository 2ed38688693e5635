//! A whole node in a box of namespaces: control plane, containerd, a real kubelet, and pods.
//!
//! The box is one process tree (`node.py` is its process 1). Node, pods and host share one small network: `.1` is the
//! node, `.2` the host, `.10` to `.250` are pods.

mod cgroups;
mod config;
pub mod images;
mod layer;
mod network;
mod node;

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

pub use images::Image;
pub use layer::Layer;
pub use node::Node;

use crate::audit::AuditLevel;
use crate::binaries;
use crate::cluster::Cluster;
use crate::component::{Component, wait};
use crate::plane::{self, Addresses};
use crate::run::Run;
use network::Network;

const START_LIMIT: Duration = Duration::from_mins(2);

/// The name of the one node.
pub const NODE: &str = "node";

/// What a node in a box shall be like. See [`NodeBox::builder`].
#[derive(Debug, Clone)]
pub struct NodeBoxBuilder {
    audit: AuditLevel,
    images: Vec<Image>,
    archives: Vec<PathBuf>,
    api_server_args: Vec<String>,
    services: bool,
}

impl NodeBoxBuilder {
    /// How much the audit log tells (default: metadata).
    #[must_use]
    pub fn audit(mut self, level: AuditLevel) -> Self {
        self.audit = level;
        self
    }

    /// An image besides busybox and pause.
    #[must_use]
    pub fn image(mut self, image: Image) -> Self {
        self.images.push(image);
        self
    }

    /// An image of the caller's own: a docker or OCI archive.
    #[must_use]
    pub fn image_archive(mut self, tar: impl Into<PathBuf>) -> Self {
        self.archives.push(tar.into());
        self
    }

    /// One more argument for kube-apiserver. A flag given here wins over ours of the same name.
    #[must_use]
    pub fn api_server_arg(mut self, arg: impl Into<String>) -> Self {
        self.api_server_args.push(arg.into());
        self
    }

    /// With kube-proxy: the addresses of services work, also that of the API server, for which pods look.
    #[must_use]
    pub fn services(mut self) -> Self {
        self.services = true;
        self
    }

    /// Starts it; returns when the node is ready for pods.
    pub fn start(&self) -> Result<NodeBox> {
        binaries::ensure_container_runtime()?;
        let images = images::ensure(&self.images)?.into_iter().chain(self.archives.iter().cloned()).collect::<Vec<_>>();

        let run = Run::start("node")?;
        let network = Network::claim(run.id())?;
        let at = addresses(&network);
        plane::write_files(run.dir(), &at, self.audit, config::TOKEN_LINES)?;
        let cluster = Cluster::new(run.id(), run.dir(), at.url())?;
        fs::write(run.dir().join("end.sh"), format!("box={}\n{}", network.device(), include_str!("node_box/end.sh")))?;
        config::write(&cluster, &network, &at, &images, self)?;

        let cgroup = cgroups::make(network.device())?;
        let mut processes = Component::start(&run, "box", Path::new("sh"), &enter(&cgroup, run.dir()))?;
        let init = init_of(&mut processes)?;
        network.connect(init)?;
        let node = Node { cluster, init, host_address: network.host() };
        let mut started = NodeBox { node, run, processes, _network: network };
        started.wait_until_ready()?;
        Ok(started)
    }
}

/// Everything in the box has its own network namespace, so its ports collide with nobody's.
fn addresses(network: &Network) -> Addresses {
    Addresses { api_server: network.node(), api_server_port: 6443, etcd_client: 2379, etcd_peer: 2380 }
}

/// A shell that enters the cgroup and becomes the parent of the box.
fn enter(cgroup: &Path, dir: &Path) -> Vec<String> {
    let script = crate::places::source().join("node.py");
    let join = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", cgroup.display());
    let unshare = "unshare --mount --pid --net --fork --kill-child --mount-proc python3";
    let mut args = vec!["-c".to_owned(), join, "box".to_owned()];
    args.extend(unshare.split(' ').map(str::to_owned));
    args.extend([script, dir.to_owned()].map(|path| path.display().to_string()));
    args
}

/// The process id of the box's process 1, as the host sees it.
fn init_of(processes: &mut Component) -> Result<u32> {
    let pid = processes.pid();
    let children = || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    // The shell has no child of its own: it becomes `unshare`, whose only child is the one.
    wait("the box", START_LIMIT, &mut [processes], || !children().trim().is_empty())?;
    children().trim().parse().context("unshare has several children")
}

/// A running node in a box: a [`Node`]. It ends with this value, or with this process.
#[derive(Debug)]
pub struct NodeBox {
    node: Node,
    // First the keeper kills everything at once, then the process is reaped.
    run: Run,
    processes: Component,
    _network: Network,
}

impl NodeBox {
    /// A node with busybox (`localhost/busybox:1`).
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// A node with other settings.
    pub fn builder() -> NodeBoxBuilder {
        NodeBoxBuilder {
            audit: AuditLevel::default(),
            images: Vec::new(),
            archives: Vec::new(),
            api_server_args: Vec::new(),
            services: false,
        }
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let get = self.node.getter()?;
        let started = self.run.dir().join("started");
        wait("the node", START_LIMIT, &mut [&mut self.processes], || {
            started.exists()
                && get("/api/v1/namespaces/default/serviceaccounts/default").is_some()
                && get(&format!("/api/v1/nodes/{NODE}")).is_some_and(|node| takes_pods(&node))
        })
    }
}

impl Deref for NodeBox {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

/// Ready, and no longer tainted for having been unready.
fn takes_pods(node: &str) -> bool {
    let node: Value = serde_json::from_str(node).unwrap_or_default();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    node["spec"]["taints"].is_null() && node["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(ready))
}
