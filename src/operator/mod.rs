//! Wiring: caches and their fan-out, the lease, telemetry, shutdown.

pub mod caches;
pub mod context;
pub mod events;
pub mod metrics;

pub use context::Context;
