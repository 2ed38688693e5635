//! Memory grows with what is watched by name and metadata, and not with values.

use std::time::Duration;

use devcluster::AuditLevel;

use serde_json::json;

use crate::{
    tenant::Tenant,
    world::{Operator, World},
};

const SYNCS: usize = 60;

/// Of each of them, so that all values together are 12 MB.
const LARGE: usize = 200 * 1024;

/// A quarter of what they would take if each were kept once.
const NOISE: u64 = 3 * 1024;

/// What a process holds, in KiB.
fn rss(operator: &Operator) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its RSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What a new operator holds that has just brought this to everybody, in KiB.
async fn held_after(world: &World, tenants: &[Tenant<'_>], text: &str) -> u64 {
    for tenant in tenants {
        tenant.entry(&[("A", text)]).await;
    }
    let mut operator = world.operator(&[]);
    for tenant in tenants {
        tenant.until_secret(&[("A", text)]).await;
        tenant.until_condition("Ready", "True/Synced").await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let held = rss(&operator);
    // It hands the lease over.
    operator.signal("TERM");
    operator.wait();
    held
}

#[tokio::test]
async fn an_operator_that_brought_large_values_holds_no_more_than_one_that_brought_tiny_ones() {
    let world = World::start(AuditLevel::Metadata);
    let mut tenants = Vec::new();
    for _ in 0..SYNCS {
        let tenant = world.tenant(&[]).await;
        tenant.sync(json!({})).await;
        tenants.push(tenant);
    }
    let tiny = held_after(&world, &tenants, "tiny").await;
    let large = held_after(&world, &tenants, &"x".repeat(LARGE)).await;
    println!("{SYNCS} syncs: {tiny} KiB after tiny values, {large} KiB after {LARGE} bytes each");
    assert!(large < tiny + NOISE, "{large} KiB after large values, {tiny} KiB after tiny ones");
}
