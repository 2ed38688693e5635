//! FlowApp: inject the volume, tell the pods, count who has loaded what.

pub mod pod;
pub mod workload;
