//! A store that takes every question and answers none, beside one that answers.

use std::time::{Duration, Instant};

use devcluster::{OpenBao, OpenBaoOptions};
use serde_json::json;
use spacesync::resources::SpaceSecretSync;
use tokio::net::TcpListener;

use crate::{
    tenant::{Tenant, condition, until},
    world::World,
};

/// More than there are workers.
const SYNCS: usize = 80;

/// Half the time that one question to a store may take.
const SOON: Duration = Duration::from_secs(5);

/// The next look at the store comes within a minute, and gives it up after some seconds.
const A_LOOK: Duration = Duration::from_secs(75);

async fn in_store(url: &str, token: &str) -> Tenant<'static> {
    let tenant = Tenant::unbound(World::shared()).await;
    let secret = format!("token-{}", tenant.name);
    tenant.apply(&tenant.own(), &secret, json!({"stringData": {"token": token}})).await;
    let auth = json!({"tokenSecret": {"name": secret, "key": "token"}});
    tenant.manager(&tenant.name, json!({"openBao": {"address": url, "auth": auth}})).await;
    let name = tenant.name.clone();
    tenant.space(json!({"secretManagerRef": {"name": name}})).await;
    tenant
}

#[tokio::test]
async fn a_store_that_hangs_keeps_no_sync_of_another_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}", listener.local_addr().unwrap());
    let (asked, mut questions) = tokio::sync::watch::channel(0);
    let mute = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
            asked.send_replace(open.len());
        }
    });
    let waiting = in_store(&hangs, "any").await;
    for n in 0..SYNCS {
        waiting.sync_named(&format!("sync-{n}"), json!({"target": {"name": format!("target-{n}")}})).await;
    }
    questions.wait_for(|open| *open >= 16).await.unwrap();

    let store = OpenBao::start(OpenBaoOptions::default()).unwrap();
    let served = in_store(store.url(), store.root_token()).await;
    store.put(&format!("spaces/{}", served.name), json!({"A": "1"})).unwrap();
    let start = Instant::now();
    served.sync(json!({})).await;
    served.until_secret(&[("A", "1")]).await;
    let took = start.elapsed();
    println!("{took:?} beside {SYNCS} syncs of a store that hangs");
    assert!(took < SOON, "{took:?}");

    let says_why = |sync: &SpaceSecretSync| condition(sync, "Ready") == "False/SourceTimedOut";
    until(waiting.api(), "sync-0", "says why", says_why).await;
    // The last is told as well, though it never came to ask.
    let syncs = waiting.api::<SpaceSecretSync>();
    while !says_why(&syncs.get("sync-79").await.unwrap()) {
        assert!(start.elapsed() < A_LOOK, "sync-79 waits, and nobody says why");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("all were told {:?} after that", start.elapsed());
    mute.abort();
}
