//! FlowApp: inject the volume, tell the pods, count who has loaded what.

pub mod apply;
pub mod concern;
pub mod controller;
pub mod delivered;
pub mod gather;
pub mod injection;
pub mod plan;
pub mod pod;
#[cfg(test)]
mod sample;
pub mod serving;
pub mod signal;
pub mod status;
pub mod workload;

use std::sync::Arc;

pub use gather::orphans;

use crate::{
    resources::{FlowApp, SpaceSecretSync},
    sync::status::Delivery,
};

/// How far the current revision of a sync has come, from everything of its namespace.
pub fn delivery_of(
    sync: &SpaceSecretSync,
    revision: Option<&str>,
    apps: &[Arc<FlowApp>],
    syncs: &[Arc<SpaceSecretSync>],
    pods: &[Arc<pod::PodView>],
) -> Delivery {
    delivered::delivery_of(sync, revision, apps, syncs, pods, jiff::Timestamp::now())
}
