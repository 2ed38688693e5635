//! A tenant whose secrets are kept in OpenBao.

use std::time::{Duration, Instant};

use devcluster::{OpenBao, OpenBaoOptions};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value as Json, json};
use spacesync::resources::{SecretManager, SpaceSecretSync, condition::find};

use crate::{
    tenant::{PATIENCE, Tenant, condition, merge, message, until, values},
    world::World,
};

/// A policy that lets the operator do all that it does.
pub const READER: &str = r#"
path "secret/data/spaces/*" { capabilities = ["read"] }
path "secret/metadata/spaces/*" { capabilities = ["read"] }
path "secret/detailed-metadata/spaces/*" { capabilities = ["list"] }
"#;

/// A tenant whose space is kept in an OpenBao of its own. The `SecretManager` has the tenant's name.
pub struct InVault<'w> {
    pub tenant: Tenant<'w>,
    pub store: OpenBao,
}

impl InVault<'static> {
    /// Without a `SecretManager` yet.
    pub async fn bare(options: OpenBaoOptions) -> Self {
        Self::bare_in(World::shared(), options).await
    }

    /// With the root token.
    pub async fn new(options: OpenBaoOptions) -> Self {
        let new = Self::bare(options).await;
        new.token(new.store.root_token()).await;
        new.manager(json!({})).await;
        new
    }

    pub async fn plain(entry: Json) -> Self {
        let new = Self::new(OpenBaoOptions::default()).await;
        new.put(entry);
        new
    }
}

impl<'w> InVault<'w> {
    /// The same in a world of its own.
    pub async fn bare_in(world: &'w World, options: OpenBaoOptions) -> Self {
        let store = OpenBao::start(options).unwrap();
        let tenant = Tenant::unbound(world).await;
        tenant.space(json!({"secretManagerRef": {"name": tenant.name}})).await;
        Self { tenant, store }
    }

    /// The token of the `SecretManager`.
    pub async fn token(&self, token: &str) {
        self.secret("token", json!({"token": token})).await;
    }

    /// A Secret of the operator's namespace.
    pub async fn secret(&self, name: &str, data: Json) -> String {
        let name = format!("{name}-{}", self.tenant.name);
        self.tenant.apply(&self.tenant.own(), &name, json!({"stringData": data})).await;
        name
    }

    /// The `SecretManager` with its token, and with these fields of `openBao` over that.
    pub async fn manager(&self, over: Json) -> SecretManager {
        let auth = json!({"tokenSecret": {"name": format!("token-{}", self.tenant.name), "key": "token"}});
        let mut store = json!({"auth": auth});
        merge(&mut store, over);
        self.manager_with(store, json!({})).await
    }

    /// The `SecretManager` with these fields of `openBao`, and of its spec.
    pub async fn manager_with(&self, over: Json, spec: Json) -> SecretManager {
        let mut store = json!({"address": self.store.url()});
        merge(&mut store, over);
        let mut whole = json!({"openBao": store});
        merge(&mut whole, spec);
        self.tenant.manager(&self.tenant.name, whole).await
    }

    pub fn path(&self) -> String {
        format!("spaces/{}", self.tenant.name)
    }

    pub fn put(&self, entry: Json) -> u64 {
        self.store.put(&self.path(), entry).unwrap()
    }

    pub async fn synced(&self, expected: &[(&str, &str)]) {
        self.tenant.sync(json!({})).await;
        self.tenant.until_secret(expected).await;
        self.tenant.until_condition("Ready", "True/Synced").await;
    }

    /// Asks now, so that an outage is met at once and not at the next minute.
    pub async fn ask(&self, n: u32) {
        let value = format!("manual/{n}");
        self.tenant.request(&value).await;
        self.tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some(value.as_str())).await;
    }

    /// Waits until the sync says this, and returns the message.
    pub async fn until_not_ready(&self, reason: &str) -> String {
        message(&self.tenant.until_condition("Ready", &format!("False/{reason}")).await, "Ready")
    }

    /// Waits until the `SecretManager` says this: status, reason and message of `Ready`.
    pub async fn until_manager(&self, expected: &str) -> SecretManager {
        let managers = Api::<SecretManager>::all(self.tenant.client.clone());
        until(managers, &self.tenant.name, expected, |manager| ready(manager).contains(expected)).await
    }

    /// How often the store was asked so far for a path that begins so.
    pub fn asked(&self, begin: &str) -> usize {
        self.store.requests().unwrap().iter().filter(|(_, path)| path.starts_with(begin)).count()
    }

    /// Meets an outage, sees that the last good stays and what is said, ends the outage, and sees it healed.
    pub async fn outage(
        &mut self,
        reason: &str,
        says: &str,
        begin: impl FnOnce(&mut Self),
        end: impl FnOnce(&mut Self),
    ) {
        self.fails(reason, says, begin).await;
        end(self);
        self.tenant.until_condition("Ready", "True/Synced").await;
    }

    /// The first half of that.
    pub async fn fails(&mut self, reason: &str, says: &str, begin: impl FnOnce(&mut Self)) {
        begin(self);
        let asked = self.tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap();
        let asked = asked.status.and_then(|status| status.last_handled_sync_request);
        let number = asked.and_then(|request| request.strip_prefix("manual/")?.parse::<u32>().ok());
        self.ask(number.unwrap_or_default() + 1).await;
        let sync = self.tenant.until_condition("Ready", &format!("False/{reason}")).await;
        let text = message(&sync, "Ready");
        assert!(text.contains(says), "{says:?} in {text:?}");
        assert_eq!(condition(&sync, "Reconciling"), format!("True/{reason}"));
        self.keeps_last_good().await;
        self.is_told(reason).await;
    }

    /// Waits until the Event of this reason and its line in the metrics are there.
    pub async fn is_told(&self, reason: &str) {
        self.is_warned_of(reason).await;
        let metrics = World::shared_operator().get("/metrics").expect("metrics").1;
        let labels = [format!("secret_manager=\"{}\"", self.tenant.name), format!("result=\"{reason}\"")];
        let mut asked = metrics.lines().filter(|line| line.starts_with("spacesync_store_requests_total"));
        assert!(asked.any(|line| labels.iter().all(|label| line.contains(label))), "{reason} is not counted");
    }

    /// Waits until the Event of this reason is there.
    pub async fn is_warned_of(&self, reason: &str) {
        let began = Instant::now();
        loop {
            let events = self.tenant.events().await;
            if events.iter().any(|(type_, found, _)| type_ == "Warning" && found == reason) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{reason}: {events:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the managed Secret still holds `A: 1`.
    pub async fn keeps_last_good(&self) {
        assert_eq!(values(&self.tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    }
}

/// `Ready` of a `SecretManager`: status, reason and message.
pub fn ready(manager: &SecretManager) -> String {
    let conditions = manager.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    find(&conditions, "Ready").map(|c| format!("{}/{}: {}", c.status, c.reason, c.message)).unwrap_or_default()
}
