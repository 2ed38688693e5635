//! How long nobody leads when the leader is killed, and what becomes of a change that comes meanwhile.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use devcluster::ControlPlane;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    binary,
    report::{Report, ms, progress},
    stage::{
        self, Operator, SYSTEM,
        objects::{apply, bound, spacesync},
    },
};

const KILLS: usize = 3;
/// For so long a lease is respected that nobody renews.
const LEASE: Duration = Duration::from_secs(15);
const BUDGET: Duration = Duration::from_secs(16);
const LIMIT: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "newsroom-dev";
const KEY: &str = "KEY";

/// Kills the leader of two replicas, a few times.
pub async fn measure(report: &mut Report) -> Result<()> {
    progress("two replicas, of which the one that leads is killed");
    let plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    stage::install(&plane)?;
    let client = stage::client(&plane).await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let mut objects = bound(NAMESPACE, KEY, "before");
    objects.push(spacesync("SpaceSecretSync", Some(NAMESPACE), "secrets", &json!({})));
    apply(&client, &objects).await?;

    let start = || Operator::start(&plane, binary(), IpAddr::V4(Ipv4Addr::LOCALHOST), "warn");
    let mut leader = start()?;
    until("it leads", async || leads(&leader)).await?;
    until("the first sync", async || holds(&client, "before").await).await?;
    let (mut led, mut arrived) = (Duration::ZERO, Duration::ZERO);
    for kill in 0..KILLS {
        let standby = start()?;
        // Wherever in the rhythm of both the kill comes.
        tokio::time::sleep(Duration::from_secs(5) + Duration::from_millis(700) * u32::try_from(kill)?).await;
        let value = format!("after-{kill}");
        leader.kill()?;
        let killed = Instant::now();
        change(&client, &value).await?;
        until("the other leads", async || leads(&standby)).await?;
        led = led.max(killed.elapsed());
        until("the change is in the Secret", async || holds(&client, &value).await).await?;
        arrived = arrived.max(killed.elapsed());
        leader = standby;
    }
    let lease = format!("{} ms", ms(LEASE));
    let row = |report: &mut Report, what: &str, time: Duration, budget: &str, met: bool| {
        report.row(&format!("{what}, max of {KILLS}"), &lease, &format!("{} ms", ms(time)), budget, met);
    };
    row(report, "leader killed → the other replica leads", led, &format!("≤ {} ms", ms(BUDGET)), led <= BUDGET);
    row(report, "leader killed → a change that came right after is in its Secret", arrived, "", true);
    leader.stop()
}

fn leads(operator: &Operator) -> bool {
    operator.get("/metrics").is_some_and(|(_, body)| body.lines().any(|line| line == "spacesync_leader 1"))
}

async fn change(client: &Client, value: &str) -> Result<()> {
    let entries = Api::<Secret>::namespaced(client.clone(), SYSTEM);
    let patch = Patch::Merge(json!({"stringData": {KEY: value}}));
    entries.patch(&format!("space-{NAMESPACE}"), &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn holds(client: &Client, value: &str) -> bool {
    let secret = Api::<Secret>::namespaced(client.clone(), NAMESPACE).get_opt("secrets").await;
    let held = secret.ok().flatten().and_then(|secret| secret.data?.remove(KEY));
    held.is_some_and(|held| held.0 == value.as_bytes())
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !holds().await {
        if began.elapsed() > LIMIT {
            bail!("waited {LIMIT:?} until {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
