//! One change among many syncs that rest: how long until the managed Secret holds what it should.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use spacesync::resources::SpaceSecretSync;

use crate::{
    crowd::{Crowd, Store, name, put, value},
    report::{Report, progress},
    stage::{SYSTEM, live::p50_and_max},
    watchers::took,
};

const SAMPLES: usize = 50;
const KEY: &str = "KEY_0";

/// Sync now (or the change itself, where the store announces it) and drift.
pub async fn measure(report: &mut Report, crowd: &mut Crowd) -> Result<()> {
    progress(&format!("{SAMPLES} changes, one by one"));
    let ours = times(crowd, Kind::Change).await?;
    progress(&format!("{SAMPLES} drifts, one by one"));
    let drift = times(crowd, Kind::Drift).await?;
    progress("the same by a bare client");
    let floor = times(crowd, Kind::Floor).await?;
    let what = match crowd.store {
        Store::Embedded => "entry changed → the Secret holds it",
        Store::OpenBao => "sync now → the Secret holds the new value",
    };
    let (size, store) = (crowd.size, crowd.store.name());
    let (floor_p50, floor_max) = p50_and_max(&floor);
    let floor = format!("{:.1} / {:.1} ms", floor_p50.as_secs_f64() * 1e3, floor_max.as_secs_f64() * 1e3);
    let row = |(p50, max): (Duration, Duration)| {
        format!("{:.1} / {:.1} ms", p50.as_secs_f64() * 1e3, max.as_secs_f64() * 1e3)
    };
    let (change, drift) = (p50_and_max(&ours), p50_and_max(&drift));
    let p50 = Duration::from_millis(if size > 2000 { 20 } else { 15 });
    report.row(
        &format!("{what}, {size} syncs, {store}, p50 / max"),
        &floor,
        &row(change),
        &format!("p50 ≤ {} ms", p50.as_millis()),
        change.0 <= p50,
    );
    let good = drift.0 <= Duration::from_millis(15) && drift.1 <= Duration::from_millis(100);
    report.row(&format!("drift repair, {size} syncs, {store}, p50 / max"), &floor, &row(drift), "≤ 15 / 100 ms", good);
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Change,
    Drift,
    Floor,
}

async fn times(crowd: &Crowd, kind: Kind) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    // The first makes the connections.
    for round in 0..=SAMPLES {
        let name = name(round % crowd.size);
        let took = match kind {
            Kind::Change => change(crowd, &name, round + 1).await?,
            Kind::Drift => drift(crowd, &name).await?,
            Kind::Floor => by_hand(crowd, &name, round).await?,
        };
        times.push(took);
        // Apart, so that the status of one is not written while the next is measured.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(times.split_off(1))
}

async fn change(crowd: &Crowd, name: &str, round: usize) -> Result<Duration> {
    let new = value(0, round);
    let secrets = crowd.api::<Secret>(name);
    if let Some(bao) = &crowd.bao {
        put(bao, name, round)?;
        let syncs = crowd.api::<SpaceSecretSync>(name);
        let request = json!({"metadata": {"annotations": {"spacesync.dev/sync-requested": format!("manual/{round}")}}});
        let ask = async {
            syncs.patch("secrets", &PatchParams::default(), &Patch::Merge(request)).await?;
            Ok(())
        };
        return took(secrets, "secrets", (KEY, &new), ask).await;
    }
    let (own, body) = (crowd.api::<Secret>(SYSTEM), json!({"stringData": {KEY: new}}));
    let entry = format!("space-{name}");
    let write = async {
        own.patch(&entry, &PatchParams::default(), &Patch::Merge(body)).await?;
        Ok(())
    };
    took(secrets, "secrets", (KEY, &new), write).await
}

async fn drift(crowd: &Crowd, name: &str) -> Result<Duration> {
    let secrets = crowd.api::<Secret>(name);
    let held = secrets.get("secrets").await?.data.unwrap_or_default().remove(KEY).unwrap_or_default();
    let held = String::from_utf8_lossy(&held.0).into_owned();
    let body = json!({"stringData": {KEY: "edited"}});
    let edit = async {
        secrets.patch("secrets", &PatchParams::default(), &Patch::Merge(body)).await?;
        Ok(())
    };
    took(secrets.clone(), "secrets", (KEY, &held), edit).await
}

/// One read of the store, one write of a Secret that nobody watches but us; and for the embedded store and drift, which
/// begin with somebody's write, that one too.
async fn by_hand(crowd: &Crowd, name: &str, round: usize) -> Result<Duration> {
    let secrets = crowd.api::<Secret>("default");
    let of = format!("floor-{round}");
    let mut secret = Secret::default();
    secret.metadata.name = Some(of.clone());
    secrets.create(&PostParams::default(), &secret).await?;
    let new = value(0, round);
    let write = async {
        let body = json!({"metadata": {"annotations": {"begun": "yes"}}});
        let api: Api<Secret> = secrets.clone();
        api.patch(&of, &PatchParams::default(), &Patch::Merge(body)).await?;
        match &crowd.bao {
            Some(bao) => drop(bao.request("GET", &format!("secret/data/spaces/{name}"), None)?),
            None => drop(crowd.api::<Secret>(SYSTEM).get(&format!("space-{name}")).await?),
        }
        let body = json!({"stringData": {KEY: new}});
        secrets.patch(&of, &PatchParams::default(), &Patch::Merge(body)).await?;
        Ok(())
    };
    took(secrets.clone(), &of, (KEY, &new), write).await
}
