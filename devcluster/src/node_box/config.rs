//! The files that tell the box what to run and how.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::json;

use super::network::Network;
use super::{NODE, NodeBoxBuilder};
use crate::binaries::{Tool, find};
use crate::cluster::{ADMIN_TOKEN, Cluster};
use crate::plane::{self, Addresses};

/// The tokens of the kubelet and of kube-proxy. The kubelet's name is that of [`NODE`]: the API server lets a node see only
/// what concerns it.
pub(super) const TOKEN_LINES: &str =
    "node-token,system:node:node,node,\"system:nodes\"\nproxy-token,system:kube-proxy,kube-proxy\n";
const NODE_TOKEN: &str = "node-token";
const PROXY_TOKEN: &str = "proxy-token";
const CONTAINERD: &str = "/run/containerd/containerd.sock";

pub(super) fn write(
    cluster: &Cluster,
    network: &Network,
    at: &Addresses,
    images: &[PathBuf],
    wanted: &NodeBoxBuilder,
) -> Result<()> {
    let dir = cluster.dir();
    if ["/run", "/var/lib", "/var/log"].iter().any(|hidden| dir.starts_with(hidden)) {
        bail!("{} cannot hold a box: inside of it, /run, /var/lib and /var/log are its own", dir.display());
    }
    fs::write(dir.join("containerd.toml"), containerd(dir))?;
    fs::create_dir(dir.join("cni"))?;
    fs::write(dir.join("cni/10-box.conflist"), cni(network))?;
    fs::write(dir.join("resolv.conf"), format!("nameserver {}\n", network.host()))?;
    fs::write(dir.join("kubelet.yaml"), kubelet(dir, network))?;
    fs::write(dir.join("kubelet.kubeconfig"), cluster.kubeconfig_text(NODE_TOKEN, "default"))?;

    let command = |tool: Tool, args: Vec<String>| -> Result<Vec<String>> {
        Ok([vec![find(tool)?.display().to_string()], args].concat())
    };
    let api_server = [plane::api_server(dir, at), wanted.api_server_args.clone()].concat();
    let mut box_json = json!({
        "device": network.device(),
        "address": network.node(),
        "services": plane::SERVICES,
        "url": cluster.url(),
        "token": ADMIN_TOKEN,
        "containerd": CONTAINERD,
        "images": images,
        "first": {
            "containerd": ["containerd", "--config", dir.join("containerd.toml")],
            "etcd": command(Tool::Etcd, plane::etcd(at))?,
            "kube-apiserver": command(Tool::KubeApiserver, api_server)?,
        },
        "then": {
            "kube-controller-manager": command(Tool::KubeControllerManager, plane::controller_manager(dir))?,
            "kube-scheduler": command(Tool::KubeScheduler, plane::scheduler(dir))?,
            "kubelet": command(Tool::Kubelet, kubelet_args(dir, network))?,
        },
    });
    if wanted.services {
        let file = dir.join("kube-proxy.yaml");
        fs::write(dir.join("kube-proxy.kubeconfig"), cluster.kubeconfig_text(PROXY_TOKEN, "default"))?;
        fs::write(&file, kube_proxy(dir, network))?;
        box_json["then"]["kube-proxy"] = json!(command(Tool::KubeProxy, vec![format!("--config={}", file.display())])?);
    }
    Ok(fs::write(dir.join("box.json"), box_json.to_string())?)
}

fn kubelet_args(dir: &Path, network: &Network) -> Vec<String> {
    vec![
        format!("--config={}", dir.join("kubelet.yaml").display()),
        format!("--kubeconfig={}", dir.join("kubelet.kubeconfig").display()),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={}", network.node()),
    ]
}

fn containerd(dir: &Path) -> String {
    let dir = dir.display();
    // Snapshotters and exporters that are not used only make noise and take time.
    format!(
        r#"version = 2
root = "{dir}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

fn cni(network: &Network) -> String {
    let pods = json!({
        "subnet": format!("{}/24", network.address(0)),
        "rangeStart": network.address(10),
        "rangeEnd": network.address(250),
        "gateway": network.node(),
    });
    let ipam = json!({
        "type": "host-local", "dataDir": "/run/cni", "ranges": [[pods]], "routes": [{"dst": "0.0.0.0/0"}],
    });
    let bridge = json!({"type": "bridge", "bridge": "br0", "ipMasq": false, "hairpinMode": true, "ipam": ipam});
    json!({"cniVersion": "0.4.0", "name": "box", "plugins": [bridge]}).to_string()
}

fn kubelet(dir: &Path, network: &Network) -> String {
    // The kubelet may do as it likes within its cgroup, and evicts nobody for what the host does. Whoever is on the
    // box's network may use its API: that is the API server, and this machine.
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node(),
        "healthzBindAddress": "127.0.0.1",
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", network.device()),
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "failCgroupV1": false,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "maxPods": 230,
        "resolvConf": dir.join("resolv.conf"),
        "clusterDomain": "cluster.local",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "runtimeRequestTimeout": "60s",
    })
    .to_string()
}

fn kube_proxy(dir: &Path, network: &Network) -> String {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": network.node(),
        "clientConnection": {"kubeconfig": dir.join("kube-proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "mode": "nftables",
        // Pods are neighbours on one bridge: without it, and on a kernel that does not filter what crosses a bridge, the
        // answer of a service's pod takes the short way, past the rule that undoes the translation.
        "nftables": {"masqueradeAll": true},
        // Those of the host stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
    })
    .to_string()
}
