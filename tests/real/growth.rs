//! What the operator holds grows with what it watches by name and metadata, and not with values.

use devcluster::AuditLevel;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde_json::json;

use crate::{
    an_unchanged_world::quiet,
    tenant::Tenant,
    world::{Operator, World},
};

const SYNCS: usize = 240;

/// Of one value: with all others many times what the operator takes for as many names.
const LARGE: usize = 100 << 10;

/// How many are made, or changed, at the same time.
const AT_ONCE: usize = 4;

async fn one_of_many(world: &World, client: Client, number: usize) -> Tenant<'_> {
    let tenant = Tenant { world, client, name: format!("many-{number:03}") };
    tenant.apply(&Api::<Namespace>::all(tenant.client.clone()), &tenant.name, json!({})).await;
    tenant.entry(&[("A", "1")]).await;
    tenant.space(json!({})).await;
    tenant.sync(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tenant
}

/// What it holds of its own, in KiB: not what the program's file is.
fn held(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Gives each entry a value, and waits until flows have it and the operator rests. Says what it holds then.
async fn bring(world: &World, operator: &Operator, tenants: &[Tenant<'_>], value: &str) -> usize {
    let changed = tenants.iter().map(|tenant| async move {
        tenant.entry(&[("A", value)]).await;
        tenant.until_secret(&[("A", value)]).await;
    });
    stream::iter(changed).buffer_unordered(AT_ONCE).collect::<()>().await;
    quiet(|| world.requests_of_operator().len()).await;
    held(operator.pid())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_grow_do_not_make_the_operator_grow() {
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let admin = Tenant::unbound(&world).await;
    admin.manager("embedded", json!({"kubernetes": {}})).await;
    let made = stream::iter(0..SYNCS).map(|number| one_of_many(&world, admin.client.clone(), number));
    let tenants: Vec<_> = made.buffered(AT_ONCE).collect().await;
    let small = bring(&world, &operator, &tenants, "a").await;
    let large = bring(&world, &operator, &tenants, &"b".repeat(LARGE)).await;
    let all = SYNCS * LARGE / 1024;
    println!("{SYNCS} values of a byte: {small} KiB held; of {LARGE}, {all} KiB in all: {large} KiB");
    // Some is what the allocator keeps of what a few requests at once went through.
    assert!(large < small + all / 2, "{} KiB more for {all} KiB of values", large.saturating_sub(small));
}
