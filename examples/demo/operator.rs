//! The operator of the story: in the cluster where there is a node, else a process of this machine.

use std::{net::Ipv4Addr, path::Path};

use anyhow::Result;
use devcluster::Cluster;

use crate::{
    stage::{self, Operator, SYSTEM, release},
    story,
};

/// A running operator.
pub enum Running {
    /// A release of the chart.
    InCluster(Cluster),
    /// A process under the operator's own role.
    OnHost(Box<Operator>),
}

impl Running {
    /// In two replicas, by Helm, as its users do.
    pub async fn in_cluster(cluster: &Cluster) -> Result<Self> {
        let install = async { release::install(cluster) };
        story::step("helm install spacesync charts/spacesync: two replicas are ready", install).await?;
        Ok(Self::InCluster(cluster.clone()))
    }

    /// Without a node.
    pub async fn on_host(cluster: &Cluster, binary: &Path) -> Result<Self> {
        let install = async { stage::install(cluster) };
        story::step("custom resources, role and policies of deploy/ are applied", install).await?;
        let start = async { Operator::start(cluster, binary, Ipv4Addr::LOCALHOST.into(), "info,spacesync=debug") };
        let operator = story::step("the operator is ready, a process under its own role", start).await?;
        Ok(Self::OnHost(Box::new(operator)))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        match self {
            Self::InCluster(cluster) => release::last_words(cluster),
            Self::OnHost(operator) => format!("of {}:\n{}", operator.log.display(), operator.last_words()),
        }
    }

    /// What to look at.
    pub fn hints(&self) -> [String; 2] {
        match self {
            Self::InCluster(_) => [
                format!("kubectl get --raw /api/v1/namespaces/{SYSTEM}/services/spacesync:metrics/proxy/metrics"),
                format!("kubectl logs -n {SYSTEM} -l app.kubernetes.io/name=spacesync --prefix"),
            ],
            Self::OnHost(operator) => {
                [format!("curl http://{}/metrics", operator.health), format!("less {}", operator.log.display())]
            }
        }
    }
}
