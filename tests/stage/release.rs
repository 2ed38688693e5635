//! The operator in the cluster, as its users have it: a release of the chart.

use std::path::{Path, PathBuf};

use anyhow::Result;
use devcluster::Cluster;

use super::{SYSTEM, operator_image};

const NAME: &str = "spacesync";
/// There is no DNS on the node, so pods are told a fixed address of the Service.
pub const ADDRESS: &str = "10.96.0.80";
const LIMIT: &str = "--timeout=2m";

/// The chart.
pub fn chart() -> PathBuf {
    super::root().join("charts/spacesync")
}

/// Makes the operator's namespace, for `restricted` pods only, and installs the chart into it; returns when each replica is
/// ready, with what Helm says. On a node with services, and the operator's image.
pub fn install(cluster: &Cluster) -> Result<String> {
    install_from(cluster, &chart())
}

/// The same with another chart.
pub fn install_from(cluster: &Cluster, chart: &Path) -> Result<String> {
    let namespace = super::root().join("deploy/namespace.yaml");
    cluster.kubectl(&["apply", "--server-side", "-f", &namespace.to_string_lossy()])?;
    run(cluster, "install", chart, &values())
}

/// Installs it where the objects of deploy/ are.
pub fn take_over(cluster: &Cluster) -> Result<String> {
    let flags = ["--take-ownership", "--force-conflicts"].map(str::to_owned);
    run(cluster, "install", &chart(), &[values().as_slice(), &flags].concat())
}

/// The same chart with a value besides.
pub fn upgrade(cluster: &Cluster, value: &str) -> Result<String> {
    let mut all = values();
    all.push(format!("--set={value}"));
    run(cluster, "upgrade", &chart(), &all)
}

/// Removes what the chart has made; returns when its pods have gone.
pub fn uninstall(cluster: &Cluster) -> Result<()> {
    cluster.helm(&["uninstall", NAME, "--namespace", SYSTEM, "--wait", LIMIT])?;
    cluster.kubectl(&["wait", "--for=delete", "pod", "--all", "-n", SYSTEM, LIMIT])?;
    Ok(())
}

/// What each replica has logged last.
pub fn last_words(cluster: &Cluster) -> String {
    let args = ["logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=spacesync", "--prefix", "--tail=15"];
    let logs = cluster.kubectl(&args).unwrap_or_else(|error| format!("{error:#}"));
    let pods = cluster.kubectl(&["get", "pods", "-n", SYSTEM, "-o", "wide"]).unwrap_or_default();
    format!("{pods}\n{logs}")
}

fn run(cluster: &Cluster, action: &str, chart: &Path, flags: &[String]) -> Result<String> {
    let chart = chart.to_string_lossy();
    let mut args = vec![action, NAME, &chart, "--namespace", SYSTEM, "--wait", LIMIT];
    args.extend(flags.iter().map(String::as_str));
    cluster.helm(&args)
}

fn values() -> Vec<String> {
    let (repository, tag) = operator_image::TAG.split_once(':').unwrap_or((operator_image::TAG, "latest"));
    let set = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        "image.pullPolicy=Never".to_owned(),
        format!("service.clusterIP={ADDRESS}"),
        format!("api.url=https://{ADDRESS}:8443"),
        "logLevel=info\\,spacesync=debug".to_owned(),
        "logFormat=text".to_owned(),
    ];
    set.iter().map(|value| format!("--set-string={value}")).collect()
}
