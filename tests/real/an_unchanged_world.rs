//! An unchanged world costs nothing: counted in the audit logs of the API server and of the store.

use std::time::{Duration, Instant};

use devcluster::{AuditLevel, OpenBao, OpenBaoOptions};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use serde_json::json;
use spacesync::resources::{Space, SpaceSecretSync};

use crate::{
    tenant::{Tenant, condition, until, values},
    world::World,
};

const SYNCS: usize = 50;

/// Longer than the interval, so that every sync was due once.
const A_CYCLE: Duration = Duration::from_secs(65);

/// What was asked between two moments.
pub struct Counts<'w> {
    world: &'w World,
    store: &'w OpenBao,
    api: usize,
    bao: usize,
}

impl<'w> Counts<'w> {
    pub fn from_now(world: &'w World, store: &'w OpenBao) -> Self {
        let (api, bao) = (world.requests_of_operator().len(), store.requests().unwrap().len());
        Self { world, store, api, bao }
    }

    /// Requests to the API server since, as `verb path`; the status of the `SecretManager` aside, which is written once
    /// in 15 minutes.
    pub fn api(&self) -> Vec<String> {
        let all = self.world.requests_of_operator().split_off(self.api);
        let lines = all.into_iter().map(|(verb, path)| format!("{verb} {path}"));
        lines.filter(|line| !line.contains("/secretmanagers/")).collect()
    }

    pub fn writes(&self) -> Vec<String> {
        let is_write = |line: &String| !line.starts_with("get ") && !line.starts_with("list ");
        self.api().into_iter().filter(is_write).collect()
    }

    /// Requests to the store since, and how many of them read a value.
    pub fn store(&self) -> (usize, usize) {
        let all = self.store.requests().unwrap().split_off(self.bao);
        let values = all.iter().filter(|(what, path)| what == "read" && path.starts_with("secret/data/")).count();
        (all.len(), values)
    }
}

async fn fifty_tenants<'w>(world: &'w World, store: &OpenBao) -> Vec<Tenant<'w>> {
    let mut tenants = Vec::new();
    for _ in 0..SYNCS {
        let tenant = Tenant::unbound(world).await;
        store.put(&format!("spaces/{}", tenant.name), json!({"TOKEN": "one", "CONFIG": {"a": 1}})).unwrap();
        tenant.space(json!({"secretManagerRef": {"name": "bao"}})).await;
        tenant.sync(json!({"autoSync": "1m"})).await;
        tenants.push(tenant);
    }
    for tenant in &tenants {
        tenant.until_condition("Ready", "True/Synced").await;
    }
    tenants
}

/// Somebody who made the `SecretManager` `bao` of this store.
pub async fn admin_of<'w>(world: &'w World, store: &OpenBao) -> Tenant<'w> {
    let admin = Tenant::unbound(world).await;
    admin.apply(&admin.own(), "bao-token", json!({"stringData": {"token": store.root_token()}})).await;
    let auth = json!({"tokenSecret": {"name": "bao-token", "key": "token"}});
    admin.manager("bao", json!({"openBao": {"address": store.url(), "auth": auth}})).await;
    admin
}

/// Waits until the operator has said all that there was to say.
pub async fn quiet(counts: impl Fn() -> usize) {
    let (mut last, mut since, began) = (counts(), Instant::now(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if counts() != last {
            (last, since) = (counts(), Instant::now());
        }
        assert!(began.elapsed() < Duration::from_mins(1), "the operator never comes to rest");
    }
}

#[tokio::test]
async fn fifty_syncs_of_an_unchanged_world_cost_no_request_and_no_value_and_a_change_costs_its_own() {
    let world = World::start(AuditLevel::Metadata);
    let store = OpenBao::start(OpenBaoOptions::default()).unwrap();
    let mut operator = world.operator(&[]);
    let admin = admin_of(&world, &store).await;
    let tenants = fifty_tenants(&world, &store).await;
    quiet(|| world.requests_of_operator().len()).await;

    // A cycle without a change.
    let idle = Counts::from_now(&world, &store);
    tokio::time::sleep(A_CYCLE).await;
    assert_eq!(idle.api(), [""; 0]);
    let (asked, values_read) = idle.store();
    println!("unchanged, {SYNCS} syncs, {A_CYCLE:?}: 0 API requests, {asked} store requests, {values_read} values");
    assert!((1..=2).contains(&asked), "{asked} requests to the store");
    assert_eq!(values_read, 0);

    // One change: one value, one Secret, one status.
    let change = Counts::from_now(&world, &store);
    let changed = &tenants[SYNCS / 2];
    store.put(&format!("spaces/{}", changed.name), json!({"TOKEN": "two", "CONFIG": {"a": 1}})).unwrap();
    let began = Instant::now();
    let wanted = |secret: &Secret| values(secret)["TOKEN"] == "two";
    let watched = tokio::time::timeout(A_CYCLE, until_slow(changed, wanted)).await;
    watched.expect("within its interval");
    quiet(|| world.requests_of_operator().len()).await;
    let mut writes = change.writes();
    writes.sort();
    let base = |resource: &str| format!("/namespaces/{}/{resource}/secrets", changed.name);
    assert_eq!(writes.len(), 2, "{writes:#?}");
    assert!(writes[0].starts_with("patch") && writes[0].contains(&format!("{}/status", base("spacesecretsyncs"))));
    assert!(writes[1].starts_with("update") && writes[1].contains(&base("secrets")), "{writes:#?}");
    assert_eq!(change.store().1, 1, "one value: {:#?}", store.requests().unwrap().split_off(change.bao));
    println!("one change of {SYNCS}: in its Secret after {:?}; 1 value, 1 Secret, 1 status", began.elapsed());

    // The same across a restart.
    operator.kill();
    let restart = Counts::from_now(&world, &store);
    let successor = world.operator(&[]);
    let began = Instant::now();
    while !successor.log().contains("leading") {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", successor.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(A_CYCLE).await;
    assert_eq!(restart.writes(), [""; 0]);
    let requests = restart.api();
    assert!(requests.len() <= 30, "{requests:#?}");
    assert!(!requests.iter().any(|line| line.contains("/t")), "an object of a tenant was read: {requests:#?}");
    assert_eq!(restart.store().1, 0, "a value was read");
    println!("restart, {SYNCS} syncs: {} API requests besides watches, 0 writes, 0 values", requests.len());
    all_in_step(&admin).await;
}

/// A change waits for its interval, longer than tests wait otherwise.
async fn until_slow(tenant: &Tenant<'_>, holds: impl Fn(&Secret) -> bool + Copy) {
    let api: Api<Secret> = tenant.api();
    let condition = |secret: Option<&Secret>| secret.is_some_and(holds);
    kube::runtime::wait::await_condition(api, "secrets", condition).await.unwrap();
}

async fn all_in_step(admin: &Tenant<'_>) {
    let syncs: Api<SpaceSecretSync> = Api::all(admin.client.clone());
    let all = syncs.list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), SYNCS);
    assert!(all.iter().all(|sync| condition(sync, "Ready") == "True/Synced"));
    let spaces: Api<Space> = Api::all(admin.client.clone());
    let first = spaces.list(&ListParams::default()).await.unwrap().items[0].metadata.name.clone().unwrap();
    until(spaces, &first, "bound", |space| space.status.as_ref().is_some_and(|s| !s.namespaces.is_empty())).await;
}
