//! OpenBao as the store, and every way in which it can be away.

use devcluster::{OpenBao, OpenBaoOptions, Storage};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value as Json, json};
use spacesync::resources::{SecretManager, condition::find};

use crate::{
    tenant::{Tenant, condition, message, until, values},
    world::{SYSTEM, World},
};

/// A tenant whose space is kept in an OpenBao of its own.
struct InVault {
    tenant: Tenant<'static>,
    store: OpenBao,
}

impl InVault {
    async fn new(options: OpenBaoOptions) -> Self {
        let store = OpenBao::start(options).unwrap();
        let tenant = Tenant::unbound(World::shared()).await;
        let new = Self { tenant, store };
        new.token(new.store.root_token()).await;
        new.manager(json!({})).await;
        let name = new.tenant.name.clone();
        new.tenant.space(json!({"secretManagerRef": {"name": name}})).await;
        new
    }

    async fn plain(entry: Json) -> Self {
        let new = Self::new(OpenBaoOptions::default()).await;
        new.put(entry);
        new
    }

    /// The token of the `SecretManager`.
    async fn token(&self, token: &str) {
        let name = format!("token-{}", self.tenant.name);
        self.tenant.apply(&self.tenant.own(), &name, json!({"stringData": {"token": token}})).await;
    }

    async fn manager(&self, spec: Json) -> SecretManager {
        let auth = json!({"tokenSecret": {"name": format!("token-{}", self.tenant.name), "key": "token"}});
        let mut store = json!({"address": self.store.url(), "auth": auth});
        crate::tenant::merge(&mut store, spec);
        self.tenant.manager(&self.tenant.name, json!({"openBao": store})).await
    }

    fn path(&self) -> String {
        format!("spaces/{}", self.tenant.name)
    }

    fn put(&self, entry: Json) -> u64 {
        self.store.put(&self.path(), entry).unwrap()
    }

    async fn synced(&self, expected: &[(&str, &str)]) {
        self.tenant.sync(json!({})).await;
        self.tenant.until_secret(expected).await;
        self.tenant.until_condition("Ready", "True/Synced").await;
    }

    /// Asks now, so that an outage is met at once and not at the next minute.
    async fn ask(&self, n: u32) {
        let value = format!("manual/{n}");
        self.tenant.request(&value).await;
        self.tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some(value.as_str())).await;
    }

    /// Meets an outage, sees that the last good stays and what is said, ends the outage, and sees it healed.
    async fn outage(&mut self, reason: &str, says: &str, begin: impl FnOnce(&mut Self), end: impl FnOnce(&mut Self)) {
        begin(self);
        self.ask(1).await;
        let sync = self.tenant.until_condition("Ready", &format!("False/{reason}")).await;
        let text = message(&sync, "Ready");
        assert!(text.contains(says), "{says:?} in {text:?}");
        assert_eq!(condition(&sync, "Reconciling"), format!("True/{reason}"));
        assert_eq!(values(&self.tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
        end(self);
        self.tenant.until_condition("Ready", "True/Synced").await;
    }
}

#[tokio::test]
async fn values_arrive_byte_for_byte_as_openbao_returns_them() {
    let vault = InVault::plain(json!({})).await;
    let large = "x".repeat(500 * 1024);
    let lines = "a\nb\r\n\t\"quoted\" \\ схід ☂ \u{1F511}";
    vault.put(
        json!({"TEXT": "t", "EMPTY": "", "LINES": lines, "LARGE": large, "JSON": {"b": 1, "a": [1, null]}, "N": 7}),
    );
    let json = r#"{"a":[1,null],"b":1}"#;
    let expected =
        [("TEXT", "t"), ("EMPTY", ""), ("LINES", lines), ("LARGE", large.as_str()), ("JSON", json), ("N", "7")];
    vault.synced(&expected).await;
    let status = vault.tenant.until_status("keys", |s| s.key_count == Some(6)).await;
    let formats: Vec<_> = status.keys.iter().map(|key| (key.name.as_str(), key.format.to_string())).collect();
    assert!(formats.contains(&("JSON", "json".into())) && formats.contains(&("TEXT", "text".into())), "{formats:?}");
    assert_eq!(status.version, Some(2));
}

#[tokio::test]
async fn sync_now_brings_what_openbao_has_now() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.put(json!({"A": "2"}));
    let before = vault.store.requests().unwrap().len();
    vault.ask(1).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    let since = vault.store.requests().unwrap().split_off(before);
    let read = since.iter().filter(|(_, path)| path.contains("/data/")).count();
    assert_eq!(read, 1, "{since:?}");
    let reads = |vault: &InVault| vault.store.requests().unwrap().iter().filter(|(_, p)| p.contains("/data/")).count();
    let before = reads(&vault);
    vault.ask(2).await;
    assert_eq!(reads(&vault), before, "nothing moved, so no value was read");
}

#[tokio::test]
async fn an_entry_that_began_anew_at_version_one_is_a_change() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.store.delete_metadata(&vault.path()).unwrap();
    vault.put(json!({"A": "2"}));
    vault.ask(1).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    vault.tenant.until_status("version 1 again", |s| s.version == Some(1)).await;
}

#[tokio::test]
async fn a_sealed_store_keeps_the_last_good_and_heals() {
    let mut vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.outage("SourceSealed", "is sealed", |v| v.store.seal().unwrap(), |v| v.store.unseal().unwrap()).await;
}

#[tokio::test]
async fn a_store_that_is_down_keeps_the_last_good_and_heals() {
    let options = OpenBaoOptions { storage: Storage::Raft, ..OpenBaoOptions::default() };
    let mut vault = InVault::new(options).await;
    vault.put(json!({"A": "1"}));
    vault.synced(&[("A", "1")]).await;
    vault
        .outage("SourceUnreachable", "connection refused", |v| v.store.stop(), |v| v.store.start_again().unwrap())
        .await;
}

#[tokio::test]
async fn a_store_that_hangs_keeps_the_last_good_and_heals() {
    let mut vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault
        .outage(
            "SourceTimedOut",
            "did not answer in time",
            |v| v.store.suspend().unwrap(),
            |v| v.store.resume().unwrap(),
        )
        .await;
}

#[tokio::test]
async fn a_soft_deleted_entry_keeps_the_last_good_and_comes_back() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    let path = vault.path();
    vault.store.delete(&path).unwrap();
    vault.ask(1).await;
    vault.tenant.until_condition("Ready", "False/SourceDeleted").await;
    assert_eq!(values(&vault.tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    vault.store.undelete(&path, &[1]).unwrap();
    vault.ask(2).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    // Gone for good: still the last good, until there is something new.
    vault.store.destroy(&path, &[1]).unwrap();
    vault.ask(3).await;
    vault.tenant.until_condition("Ready", "False/SourceDeleted").await;
    assert_eq!(values(&vault.tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    vault.put(json!({"A": "2"}));
    vault.ask(4).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_token_that_is_revoked_is_said_and_its_rotation_is_noticed() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let policy = r#"path "secret/*" { capabilities = ["read", "list"] }"#;
    let token = vault.store.token_with_policy(policy).unwrap();
    vault.token(&token).await;
    vault.synced(&[("A", "1")]).await;
    vault.store.revoke(&token).unwrap();
    vault.ask(1).await;
    let sync = vault.tenant.until_condition("Ready", "False/SourceUnauthorized").await;
    assert!(message(&sync, "Ready").contains("renew it"), "{}", message(&sync, "Ready"));
    vault.token(&vault.store.token_with_policy(policy).unwrap()).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_policy_that_does_not_reach_the_entry_is_said() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let elsewhere = r#"path "secret/data/other/*" { capabilities = ["read"] }"#;
    vault.token(&vault.store.token_with_policy(elsewhere).unwrap()).await;
    vault.tenant.sync(json!({})).await;
    let sync = vault.tenant.until_condition("Ready", "False/SourceForbidden").await;
    assert!(message(&sync, "Ready").contains("extend its policy"), "{}", message(&sync, "Ready"));
    vault.token(vault.store.root_token()).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
}

#[tokio::test]
async fn a_private_ca_is_trusted_by_its_bundle_and_by_nothing_else() {
    let vault = InVault::new(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() }).await;
    vault.put(json!({"A": "1"}));
    vault.tenant.sync(json!({})).await;
    let sync = vault.tenant.until_condition("Ready", "False/SourceTls").await;
    assert!(message(&sync, "Ready").contains("caBundle"), "{}", message(&sync, "Ready"));
    let name = format!("ca-{}", vault.tenant.name);
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(vault.tenant.client.clone(), SYSTEM);
    vault.tenant.apply(&maps, &name, json!({"data": {"ca.crt": vault.store.ca_pem().unwrap()}})).await;
    vault.manager(json!({"caBundle": {"configMap": {"name": name, "key": "ca.crt"}}})).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_missing_credential_names_the_secret_and_the_key() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let auth = json!({"tokenSecret": {"name": "nowhere", "key": "token"}});
    vault.tenant.manager(&vault.tenant.name, json!({"openBao": {"address": vault.store.url(), "auth": auth}})).await;
    vault.tenant.sync(json!({})).await;
    let sync = vault.tenant.until_condition("Ready", "False/SecretManagerInvalid").await;
    assert!(message(&sync, "Ready").contains("nowhere"), "{}", message(&sync, "Ready"));
    let managers: kube::Api<SecretManager> = kube::Api::all(vault.tenant.client.clone());
    until(managers, &vault.tenant.name, "not ready", |manager| {
        let conditions = manager.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        find(&conditions, "Ready").is_some_and(|c| c.status == "False" && c.message.contains("nowhere"))
    })
    .await;
}
