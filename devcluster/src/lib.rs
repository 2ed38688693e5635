//! A real Kubernetes control plane, vault and node for development and tests.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let plane = devcluster::ControlPlane::start()?; // etcd, kube-apiserver, kube-controller-manager: about 3 s
//! plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: tenant}}")?;
//! assert!(plane.kubectl(&["get", "namespaces"])?.contains("tenant"));
//! # Ok(())
//! # }
//! ```
//!
//! Everything that is started belongs to a run: a folder and a keeper, which ends all of it when the owner is
//! gone, be it by drop, panic, Ctrl-C or `kill -9`. Nothing is a mock, and nothing is left behind.

pub mod audit;
pub mod binaries;
mod certs;
mod claim;
mod cluster;
mod component;
mod control_plane;
mod http;
mod node_box;
mod openbao;
mod places;
mod plane;
mod progress;
mod run;
pub mod up;

pub use audit::AuditLevel;
pub use cluster::Cluster;
pub use control_plane::{ControlPlane, ControlPlaneBuilder};
pub use node_box::{Image, Layer, NODE, Node, NodeBox, NodeBoxBuilder, images};
pub use openbao::{BaoClient, OpenBao, OpenBaoOptions, Storage};
pub use up::{Up, attach};
