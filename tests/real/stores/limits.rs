//! How hard the store may be asked.

use devcluster::OpenBaoOptions;
use jiff::Timestamp;
use serde_json::json;
use spacesync::resources::SpaceSecretSync;

use super::vault::InVault;
use crate::tenant::{condition, until};

#[tokio::test]
async fn a_store_is_asked_no_faster_than_its_limits_say_by_all_syncs_together() {
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    vault.token(vault.store.root_token()).await;
    let auth = json!({"tokenSecret": {"name": format!("token-{}", vault.tenant.name), "key": "token"}});
    for n in 0..6 {
        vault.tenant.sync_named(&format!("sync-{n}"), json!({})).await;
    }
    let limits = json!({"concurrency": 1, "perSecond": 2});
    vault.manager_with(json!({"auth": auth}), json!({"limits": limits})).await;
    for n in 0..6 {
        let syncs = vault.tenant.api::<SpaceSecretSync>();
        until(syncs, &format!("sync-{n}"), "synced", |sync| condition(sync, "Ready") == "True/Synced").await;
    }
    let entries = vault.store.audit_entries().unwrap();
    let asked = entries.iter().filter(|entry| entry["type"] == "request" && entry["request"]["operation"] == "read");
    let asked = asked.filter(|entry| entry["request"]["path"].as_str().is_some_and(|path| path.contains("/spaces/")));
    let times: Vec<Timestamp> = asked.map(|entry| entry["time"].as_str().unwrap().parse().unwrap()).collect();
    let gaps: Vec<f64> = times.windows(2).map(|two| two[1].duration_since(two[0]).as_secs_f64()).collect();
    println!("{} requests, {gaps:.2?} s apart", times.len());
    assert!(times.len() >= 12, "{}", times.len());
    let whole = times[times.len() - 1].duration_since(times[0]).as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a few dozen")]
    let least = (times.len() - 1) as f64 * 0.5 - 0.1;
    assert!(whole >= least, "{} requests in {whole:.2} s", times.len());
}
