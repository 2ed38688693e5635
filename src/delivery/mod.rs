//! FlowApp: inject the volume, tell the pods, count who has loaded what.

pub mod controller;
pub mod pod;
pub mod workload;
use crate::{
    cluster::cache::Key, operator::Context, resources::condition::Verdict, resources::sync::DeliveryStatus,
    resources::*, sync::status::Delivery,
};
use std::sync::Arc;
/// stub
pub fn orphans(_: &Arc<Context>) -> Vec<Key> {
    vec![]
}
/// stub
pub fn delivery_of(
    _s: &SpaceSecretSync,
    _r: Option<&str>,
    _a: &[Arc<FlowApp>],
    _ss: &[Arc<SpaceSecretSync>],
    _p: &[Arc<pod::PodView>],
) -> Delivery {
    Delivery { status: DeliveryStatus::default(), verdict: Verdict::new(true, Reason::NoPods, &[]) }
}
