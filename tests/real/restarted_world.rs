//! What a restart costs where two hundred syncs are in step, and where one of them is not any more: that one.

use std::time::{Duration, Instant};

use devcluster::{AuditLevel, OpenBao, OpenBaoOptions};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Client};
use serde_json::json;
use spacesync::resources::Space;

use crate::{
    an_unchanged_world::{Counts, admin_of, quiet},
    tenant::{Tenant, until},
    world::{Operator, World},
};

const SYNCS: usize = 200;

/// How many of them are made at the same time.
const AT_ONCE: usize = 16;

async fn one_of_many<'w>(world: &'w World, store: &OpenBao, client: Client, number: usize) -> Tenant<'w> {
    let tenant = Tenant { world, client, name: format!("many-{number}") };
    store.put(&format!("spaces/{}", tenant.name), json!({"A": "1", "B": "1"})).unwrap();
    tenant.apply(&Api::<Namespace>::all(tenant.client.clone()), &tenant.name, json!({})).await;
    tenant.space(json!({"secretManagerRef": {"name": "bao"}})).await;
    tenant.sync(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tenant
}

/// Ends the operator at once, lets `meanwhile` happen while none runs, and starts the next. Gives what that asked until
/// it came to rest after its first look at the store.
async fn restarted<'w>(
    world: &'w World,
    store: &'w OpenBao,
    operator: &mut Operator,
    meanwhile: impl AsyncFnOnce(),
) -> Counts<'w> {
    operator.kill();
    world.forget_lease().await;
    meanwhile().await;
    let counts = Counts::from_now(world, store);
    *operator = world.operator(&[]);
    let began = Instant::now();
    while counts.store().0 == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it never asks the store: {}", operator.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    quiet(|| world.requests_of_operator().len()).await;
    counts
}

/// The one that changed is read once and written once, with its status, and nobody else is asked for or written.
fn is_of_one(counts: &Counts<'_>, tenant: &Tenant<'_>, what: &str) {
    let mut writes = counts.writes();
    writes.sort();
    let path = |resource: &str| format!("/namespaces/{}/{resource}/secrets", tenant.name);
    assert_eq!(writes.len(), 2, "{what}: {writes:#?}");
    assert!(writes[0].starts_with("patch ") && writes[0].contains(&path("spacesecretsyncs")), "{what}: {writes:#?}");
    assert!(writes[1].starts_with("update ") && writes[1].contains(&path("secrets")), "{what}: {writes:#?}");
    let of_others = |line: &String| line.contains("/many-") && !line.contains(&format!("/{}/", tenant.name));
    assert!(!counts.api().iter().any(of_others), "{what}: {:#?}", counts.api());
    assert_eq!(counts.store().1, 1, "{what}: values read");
    println!("{what}: 1 value, 1 Secret, 1 status; {} API requests in all", counts.api().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_syncs_restarted_cost_nothing_and_with_one_changed_exactly_that_one() {
    let world = World::start(AuditLevel::Metadata);
    let store = OpenBao::start(OpenBaoOptions::default()).unwrap();
    let mut operator = world.operator(&[]);
    let admin = admin_of(&world, &store).await;
    let began = Instant::now();
    let made = stream::iter(0..SYNCS).map(|number| one_of_many(&world, &store, admin.client.clone(), number));
    let tenants: Vec<_> = made.buffered(AT_ONCE).collect().await;
    quiet(|| world.requests_of_operator().len()).await;
    println!("{SYNCS} syncs in step after {:?}", began.elapsed());

    let counts = restarted(&world, &store, &mut operator, async || {}).await;
    assert_eq!(counts.writes(), [""; 0]);
    let requests = counts.api();
    assert!(requests.len() <= 30 && !requests.iter().any(|line| line.contains("/many-")), "{requests:#?}");
    assert_eq!(counts.store().1, 0, "a value was read");
    println!("nothing changed: {} API requests besides watches, 0 writes, 0 values", requests.len());

    let one = &tenants[SYNCS / 4];
    let entry = async || {
        store.put(&format!("spaces/{}", one.name), json!({"A": "2", "B": "1"})).unwrap();
    };
    let counts = restarted(&world, &store, &mut operator, entry).await;
    one.until_secret(&[("A", "2"), ("B", "1")]).await;
    is_of_one(&counts, one, "an entry changed");

    let one = &tenants[SYNCS / 2];
    let edited = async || {
        one.patch::<Secret>("secrets", json!({"stringData": {"A": "edited"}})).await;
    };
    let counts = restarted(&world, &store, &mut operator, edited).await;
    one.until_secret(&[("A", "1"), ("B", "1")]).await;
    is_of_one(&counts, one, "a managed Secret edited");

    let one = &tenants[SYNCS - 1];
    let spec = async || {
        one.sync(json!({"keys": {"exclude": ["B"]}})).await;
    };
    let counts = restarted(&world, &store, &mut operator, spec).await;
    one.until_secret(&[("A", "1")]).await;
    is_of_one(&counts, one, "a spec changed");
}

/// In the embedded store, made while no operator runs.
async fn one_of_a_crowd(world: &World, client: Client, number: usize) -> Tenant<'_> {
    let tenant = Tenant { world, client, name: format!("crowd-{number:03}") };
    tenant.apply(&Api::<Namespace>::all(tenant.client.clone()), &tenant.name, json!({})).await;
    tenant.entry(&[("A", "1")]).await;
    tenant.space(json!({})).await;
    tenant.sync(json!({})).await;
    tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_has_its_secrets_before_its_spaces_tell_of_themselves() {
    let world = World::start(AuditLevel::Metadata);
    let admin = Tenant::unbound(&world).await;
    admin.manager("embedded", json!({"kubernetes": {}})).await;
    let client = admin.client;
    let made = stream::iter(0..SYNCS).map(|number| one_of_a_crowd(&world, client.clone(), number));
    let tenants: Vec<_> = made.buffered(AT_ONCE).collect().await;
    let operator = world.operator(&[]);
    for tenant in &tenants {
        tenant.until_condition("Ready", "True/Synced").await;
        until::<Space>(Api::all(client.clone()), &tenant.name, "bound", |space| {
            space.status.as_ref().is_some_and(|status| status.summary.as_deref() == Some("1/1"))
        })
        .await;
    }
    let of_crowd: Vec<_> =
        world.requests_of_operator().into_iter().filter(|(_, uri)| uri.contains("/crowd-")).collect();
    let created = |requests: &[(String, String)], what: &str| {
        requests.iter().filter(|(verb, uri)| verb == "create" && uri.contains(what)).count()
    };
    let half = (0..of_crowd.len()).find(|&end| created(&of_crowd[..end], "/secrets") == SYNCS / 2);
    let config_maps = created(&of_crowd[..half.expect("half of the Secrets")], "/configmaps");
    println!("{config_maps} spaces had written when {} syncs had their Secrets", SYNCS / 2);
    assert!(config_maps <= SYNCS / 20, "{config_maps}: {}", operator.log());
    assert_eq!(created(&of_crowd, "/configmaps"), SYNCS, "and then they all do");
}
