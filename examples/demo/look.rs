//! What people see of all this: columns and history.

use anyhow::{Context, Result};
use spacesync::{resources::SpaceSecretSync, secret::ChangeRecord};

use crate::{
    embedded,
    story::{self, expect},
    vault,
    world::{World, status, until},
};

/// kubectl, and the history of a sync.
pub async fn chapter(world: &World) -> Result<()> {
    story::chapter("7. What you can see");
    for args in ["get secretmanagers", "get spaces", "get sss -A", "get flowapps -A"] {
        let words: Vec<&str> = args.split(' ').collect();
        println!("  $ kubectl {args}");
        for line in world.cluster.kubectl(&words)?.lines() {
            println!("  {line}");
        }
        println!();
    }
    expect_column(world, "newsroom-dev", ["newsroom-dev", "4", "True"])?;
    expect_column(world, "newsroom-prod", ["newsroom-prod", "2", "True"])?;
    history(world, embedded::SPACE, &["drift", "drift", "live", "live", "live", "first"]).await?;
    history(world, vault::SPACE, &["manual", "first"]).await
}

/// Space, version and whether it is synced, as the columns say.
fn expect_column(world: &World, namespace: &str, wanted: [&str; 3]) -> Result<()> {
    let line = world.cluster.kubectl(&["get", "sss", "secrets", "-n", namespace, "--no-headers"])?;
    let columns: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
    expect(&format!("SPACE, VERSION and SYNCED of the sync in {namespace}"), &wanted.to_vec(), &columns)
}

async fn history(world: &World, namespace: &str, triggers: &[&str]) -> Result<()> {
    let syncs = world.api::<SpaceSecretSync>(namespace);
    let long = |sync: &SpaceSecretSync| sync.status.as_ref().is_some_and(|s| s.history.len() == triggers.len());
    let sync = until(syncs, "secrets", &format!("has {} changes in its history", triggers.len()), status, long).await?;
    let history = sync.status.context("it has one")?.history;
    println!("  The history of the sync in {namespace}, by key name (kubectl get sss secrets -o yaml):");
    for record in &history {
        println!(
            "    {}  version {}  {:<8}  {}",
            record.time.0.strftime("%T"),
            record.version,
            record.trigger.as_str(),
            keys(record)
        );
    }
    println!();
    let seen: Vec<&str> = history.iter().map(|record| record.trigger.as_str()).collect();
    expect(&format!("what made the changes of {namespace}"), &triggers.to_vec(), &seen)
}

fn keys(record: &ChangeRecord) -> String {
    let lists = [("added", &record.added), ("changed", &record.changed), ("removed", &record.removed)];
    let told = lists.iter().filter(|(_, names)| !names.is_empty());
    told.map(|(what, names)| format!("{what} {}", names.names.join(", "))).collect::<Vec<_>>().join("; ")
}
