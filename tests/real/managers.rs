//! Whether a Secret Manager can be used and reached, with a real OpenBao.

use std::time::{Duration, Instant};

use devcluster::{OpenBao, OpenBaoOptions};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::DeleteParams};
use serde_json::{Value as Json, json};
use spacesync::resources::{SecretManager, Trigger, condition::find};

use crate::{
    tenant::{PATIENCE, Tenant, until},
    world::{SYSTEM, World},
};

/// `Ready` of a `SecretManager`: status, reason and message.
fn ready(manager: &SecretManager) -> String {
    let conditions = manager.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    find(&conditions, "Ready").map(|c| format!("{}/{}: {}", c.status, c.reason, c.message)).unwrap_or_default()
}

/// A tenant whose space is kept in an OpenBao of its own. The `SecretManager` has the tenant's name.
struct Kept {
    tenant: Tenant<'static>,
    bao: OpenBao,
}

impl Kept {
    async fn new(tls: bool) -> Self {
        let bao = OpenBao::start(OpenBaoOptions { tls, ..OpenBaoOptions::default() }).expect("OpenBao");
        let tenant = Tenant::unbound(World::shared()).await;
        bao.put(&format!("spaces/{}", tenant.name), json!({"A": "1"})).unwrap();
        tenant.space(json!({"secretManagerRef": {"name": tenant.name}})).await;
        Self { tenant, bao }
    }

    /// One whose sync has brought what there is.
    async fn synced() -> Self {
        let kept = Self::new(false).await;
        kept.token(json!({"token": kept.fresh_token()})).await;
        kept.manager(json!({})).await;
        kept.tenant.sync(json!({})).await;
        kept.tenant.until_secret(&[("A", "1")]).await;
        kept
    }

    async fn token(&self, data: Json) {
        self.tenant.apply(&self.tenant.own(), &self.secret(), json!({"stringData": data})).await;
    }

    fn secret(&self) -> String {
        format!("{}-token", self.tenant.name)
    }

    fn fresh_token(&self) -> String {
        let policy = "path \"secret/*\" { capabilities = [\"read\", \"list\"] }";
        self.bao.token_with_policy(policy).unwrap()
    }

    /// The manager as it should be, with these fields of `openBao` over it.
    async fn manager(&self, over: Json) {
        let mut spec = json!({"openBao": {
            "address": self.bao.url(),
            "auth": {"tokenSecret": {"name": self.secret(), "key": "token"}},
        }});
        crate::tenant::merge(&mut spec["openBao"], over);
        self.tenant.manager(&self.tenant.name, spec).await;
    }

    async fn until_ready(&self, expected: &str) -> SecretManager {
        let managers = Api::<SecretManager>::all(self.tenant.client.clone());
        until(managers, &self.tenant.name, expected, |manager| ready(manager).contains(expected)).await
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_credential_is_said_by_name_and_heals_step_by_step() {
    let kept = Kept::new(false).await;
    let secret = kept.secret();
    kept.manager(json!({})).await;
    let invalid = format!("False/SecretManagerInvalid: SecretManager {} cannot be used: ", kept.tenant.name);
    kept.until_ready(&format!("{invalid}Secret {secret} does not exist in {SYSTEM}")).await;
    kept.token(json!({"other": "x"})).await;
    kept.until_ready(&format!("{invalid}Secret {secret} has no key token")).await;
    kept.token(json!({"token": " \n"})).await;
    kept.until_ready(&format!("{invalid}key token of Secret {secret} is empty")).await;
    kept.token(json!({"token": "wrong-hunter2"})).await;
    let refused = kept.until_ready("False/Source").await;
    assert!(!serde_json::to_string(&refused).unwrap().contains("hunter2"), "{refused:?}");
    kept.token(json!({"token": format!("{}\n", kept.fresh_token())})).await;
    let manager = kept.until_ready("True/Reachable: OpenBao answers").await;
    let status = manager.status.unwrap();
    assert_eq!((status.store.as_deref(), status.spaces), (Some("OpenBao"), Some(1)));
    assert!(status.last_checked.is_some());
}

#[tokio::test]
async fn a_mount_that_is_not_there_is_said_also_where_no_sync_asks() {
    let kept = Kept::new(false).await;
    // Of one whose policy does not reach so far only the syncs can tell.
    kept.token(json!({"token": kept.bao.root_token()})).await;
    kept.manager(json!({"mount": "nowhere"})).await;
    let manager = kept.until_ready("False/SecretManagerInvalid").await;
    assert!(ready(&manager).contains("nowhere"), "{}", ready(&manager));
    kept.manager(json!({"mount": "secret"})).await;
    kept.until_ready("True/Reachable").await;
}

#[tokio::test]
async fn a_rotated_token_is_noticed() {
    let kept = Kept::new(false).await;
    let first = kept.fresh_token();
    kept.token(json!({"token": first})).await;
    kept.manager(json!({})).await;
    kept.tenant.sync(json!({})).await;
    kept.tenant.until_secret(&[("A", "1")]).await;
    kept.until_ready("True/Reachable").await;
    kept.bao.revoke(&first).unwrap();
    kept.bao.put(&format!("spaces/{}", kept.tenant.name), json!({"A": "2"})).unwrap();
    kept.tenant.request("manual/1").await;
    kept.until_ready("False/SourceUnauthorized").await;
    kept.token(json!({"token": kept.fresh_token()})).await;
    kept.until_ready("True/Reachable").await;
    kept.tenant.until_secret(&[("A", "2")]).await;
}

#[tokio::test]
async fn a_certificate_is_trusted_only_by_the_ca_that_is_named() {
    let kept = Kept::new(true).await;
    kept.token(json!({"token": kept.fresh_token()})).await;
    let config_map = format!("{}-ca", kept.tenant.name);
    let config_maps = Api::<ConfigMap>::namespaced(kept.tenant.client.clone(), SYSTEM);
    kept.manager(json!({"caBundle": {"configMap": {"name": config_map, "key": "ca.crt"}}})).await;
    kept.until_ready(&format!("ConfigMap {config_map} does not exist in {SYSTEM}")).await;
    kept.tenant.apply(&config_maps, &config_map, json!({"data": {"ca.crt": "not PEM"}})).await;
    kept.until_ready("caBundle holds no certificate in PEM").await;
    let other = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap().cert.pem();
    kept.tenant.apply(&config_maps, &config_map, json!({"data": {"ca.crt": other}})).await;
    kept.until_ready("False/SourceTls").await;
    kept.tenant.apply(&config_maps, &config_map, json!({"data": {"ca.crt": kept.bao.ca_pem()}})).await;
    kept.until_ready("True/Reachable").await;
}

#[tokio::test]
async fn a_sealed_store_is_told_and_comes_back_by_itself() {
    let kept = Kept::synced().await;
    kept.bao.seal().unwrap();
    kept.tenant.request("manual/1").await;
    kept.until_ready("False/SourceSealed").await;
    kept.bao.unseal().unwrap();
    kept.until_ready("True/Reachable").await;
}

#[tokio::test]
async fn a_secret_that_is_edited_while_its_store_is_away_is_put_back_when_it_returns() {
    let kept = Kept::synced().await;
    kept.tenant.until_condition("Ready", "True/Synced").await;
    kept.bao.seal().unwrap();
    kept.tenant.patch::<Secret>("secrets", json!({"stringData": {"A": "edited"}})).await;
    // It was seen, and could not be mended.
    kept.tenant.until_condition("Synced", "False/SourceSealed").await;
    kept.bao.unseal().unwrap();
    kept.tenant.until_secret(&[("A", "1")]).await;
    let sync = kept.tenant.until_condition("Ready", "True/Synced").await;
    assert_eq!(sync.status.unwrap().last_sync.unwrap().trigger, Trigger::Drift);
}

#[tokio::test]
async fn the_embedded_store_says_when_it_was_last_checked_and_so_does_its_metric() {
    let tenant = Tenant::unbound(World::shared()).await;
    tenant.manager(&tenant.name, json!({"kubernetes": {}})).await;
    tenant.space(json!({"secretManagerRef": {"name": tenant.name}})).await;
    let managers = Api::<SecretManager>::all(tenant.client.clone());
    let checked = |manager: &SecretManager| manager.status.as_ref().is_some_and(|status| status.last_checked.is_some());
    until(managers, &tenant.name, "it was checked", checked).await;
    let metric = "spacesync_secret_manager_last_checked_timestamp_seconds";
    let series = format!("{metric}{{secret_manager=\"{}\"}}", tenant.name);
    until_measured(&series, true).await;
}

#[tokio::test]
async fn what_this_version_does_not_support_is_said_with_what_to_use_instead() {
    let kept = Kept::new(false).await;
    let auth = json!({"bearerSecret": {"name": "a", "key": "b"}});
    let http = json!({"http": {"url": "https://secrets.example.org", "auth": auth}});
    kept.tenant.manager(&kept.tenant.name, http).await;
    kept.until_ready("http is not supported by this version; use openBao or kubernetes").await;
}

/// Waits until the metrics have a line with these words, or no more.
async fn until_measured(words: &str, is_there: bool) {
    let began = Instant::now();
    loop {
        let metrics = World::shared_operator().get("/metrics").expect("metrics").1;
        if metrics.contains(words) == is_there {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{words}: {metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_secret_manager_counts_its_spaces_and_without_one_it_is_unused() {
    let kept = Kept::new(false).await;
    kept.token(json!({"token": kept.fresh_token()})).await;
    kept.manager(json!({})).await;
    kept.until_ready("True/Reachable").await;
    let told =
        format!("spacesync_secret_manager_last_checked_timestamp_seconds{{secret_manager=\"{}\"}}", kept.tenant.name);
    until_measured(&told, true).await;
    let spaces = Api::<spacesync::resources::Space>::all(kept.tenant.client.clone());
    spaces.delete(&kept.tenant.name, &DeleteParams::default()).await.unwrap();
    let manager = kept.until_ready("Unknown/Unused: no Space is kept here").await;
    assert_eq!(manager.status.unwrap().spaces, Some(0));
    // Nobody asks it, so nobody waits for it.
    until_measured(&told, false).await;
    until_measured("kind=\"secret_manager\",condition=\"Ready\",status=\"Unknown\",reason=\"Unused\"} ", true).await;
    kept.tenant.space(json!({"secretManagerRef": {"name": kept.tenant.name}})).await;
    kept.until_ready("True/Reachable").await;
    until_measured(&told, true).await;
}

#[tokio::test]
async fn a_deleted_credential_keeps_what_flows_have() {
    let kept = Kept::synced().await;
    kept.tenant.own().delete(&kept.secret(), &DeleteParams::default()).await.unwrap();
    kept.until_ready("False/SecretManagerInvalid").await;
    kept.tenant.until_condition("Ready", "False/SecretManagerInvalid").await;
    assert!(kept.tenant.api::<Secret>().get_opt("secrets").await.unwrap().is_some());
    kept.token(json!({"token": kept.fresh_token()})).await;
    kept.tenant.until_condition("Ready", "True/Synced").await;
}
