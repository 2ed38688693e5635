//! FlowApp: inject the volume, tell the pods, count who has loaded what.

pub mod apply;
pub mod concern;
pub mod controller;
pub mod delivered;
pub mod gather;
pub mod injection;
pub mod plan;
pub mod pod;
pub mod restart;
#[cfg(test)]
mod sample;
pub mod serving;
pub mod signal;
pub mod status;
pub mod workload;

use std::sync::Arc;

pub use gather::{orphans, rolling};

use crate::{
    resources::{FlowApp, SpaceSecretSync},
    secret::Content,
    sync::status::Delivery,
};

/// How far the current revision of a sync has come, from everything of its namespace.
pub fn delivery_of(
    sync: &SpaceSecretSync,
    held: Option<(&str, &Content)>,
    apps: &[Arc<FlowApp>],
    syncs: &[Arc<SpaceSecretSync>],
    pods: &[Arc<pod::PodView>],
) -> Delivery {
    delivered::delivery_of(sync, held, apps, syncs, pods, jiff::Timestamp::now())
}
