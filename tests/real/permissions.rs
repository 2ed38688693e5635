//! The operator's role: each verb of it is one that the operator misses, and names, when it is taken away.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use devcluster::AuditLevel;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::ConfigMap,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use spacesync::{
    operator::{
        permissions::{AT_NEED, EVENTS, MEND, PERMISSIONS, Permission},
        scope::Scope,
    },
    resources::{SecretManager, condition::find},
};

use crate::{
    tenant::{PATIENCE, Tenant, until},
    workload::app_message,
    world::{Operator, SYSTEM, World},
};

const ROLE: &str = "spacesync-operator";

/// One verb of one resource in a role: of which object, if of one only.
type Verb = (String, String, Option<String>, String);

fn verbs(rule: &PolicyRule) -> Vec<Verb> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mut names: Vec<_> = list(&rule.resource_names).into_iter().map(Some).collect();
    if names.is_empty() {
        names.push(None);
    }
    let mut all = Vec::new();
    for (group, resource) in
        list(&rule.api_groups).iter().flat_map(|g| list(&rule.resources).into_iter().map(move |r| (g, r)))
    {
        for name in &names {
            all.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), name.clone(), verb.clone())));
        }
    }
    all
}

fn rule((group, resource, name, verb): &Verb) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.clone()]),
        resources: Some(vec![resource.clone()]),
        resource_names: name.clone().map(|name| vec![name]),
        verbs: vec![verb.clone()],
        ..PolicyRule::default()
    }
}

/// A role, by its namespace where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Of {
    namespace: Option<&'static str>,
    name: &'static str,
}

const CLUSTER: Of = Of { namespace: None, name: ROLE };
const OWN: Of = Of { namespace: Some(SYSTEM), name: ROLE };

/// The roles of the operator as they stand in the cluster.
struct Roles {
    client: Client,
}

impl Roles {
    async fn of(world: &World) -> Self {
        Self { client: world.client().await }
    }

    fn cluster(&self) -> Api<ClusterRole> {
        Api::all(self.client.clone())
    }

    fn within(&self, namespace: &str) -> Api<Role> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn rules(&self, of: Of) -> Vec<PolicyRule> {
        match of.namespace {
            None => self.cluster().get(of.name).await.unwrap().rules,
            Some(namespace) => self.within(namespace).get(of.name).await.unwrap().rules,
        }
        .unwrap_or_default()
    }

    async fn verbs(&self, of: Of) -> Vec<Verb> {
        self.rules(of).await.iter().flat_map(verbs).collect()
    }

    async fn set(&self, of: Of, rules: Vec<PolicyRule>) {
        let params = PostParams::default();
        match of.namespace {
            None => {
                let role = ClusterRole { rules: Some(rules), ..self.cluster().get(of.name).await.unwrap() };
                self.cluster().replace(of.name, &params, &role).await.unwrap();
            }
            Some(namespace) => {
                let role = Role { rules: Some(rules), ..self.within(namespace).get(of.name).await.unwrap() };
                self.within(namespace).replace(of.name, &params, &role).await.unwrap();
            }
        }
    }
}

/// What the table asks for in a namespace, or of the cluster.
fn needed(scope: &Scope, namespace: Option<&str>) -> BTreeSet<Verb> {
    let mut all = BTreeSet::new();
    for permission in PERMISSIONS.iter().chain([&AT_NEED]) {
        let spots = permission.place.spots(scope, SYSTEM).into_iter().filter(|spot| spot.namespace == namespace);
        for spot in spots {
            let names: Vec<_> =
                permission.names.iter().copied().chain(spot.name).map(|name| Some(vec![name.to_owned()])).collect();
            let rule = |names| PolicyRule {
                api_groups: Some(vec![permission.group.to_owned()]),
                resources: Some(vec![permission.resource.to_owned()]),
                resource_names: names,
                verbs: permission.verbs.split(' ').map(str::to_owned).collect(),
                ..PolicyRule::default()
            };
            let names = if names.is_empty() { vec![None] } else { names };
            all.extend(names.into_iter().map(rule).flat_map(|rule| verbs(&rule)));
        }
    }
    all
}

async fn are_exactly_what_is_needed(roles: &Roles, scope: &Scope, all: &[Of]) {
    for of in all {
        let given = roles.verbs(*of).await;
        let distinct: BTreeSet<_> = given.iter().cloned().collect();
        assert_eq!(distinct, needed(scope, of.namespace), "{of:?}");
        assert_eq!(distinct.len(), given.len(), "{of:?} gives something twice");
    }
}

#[tokio::test]
async fn the_roles_are_what_the_operator_needs_and_nothing_else() {
    let roles = Roles::of(World::shared()).await;
    are_exactly_what_is_needed(&roles, &Scope::Cluster, &[CLUSTER, OWN]).await;
}

/// What /readyz says of permissions.
fn missing(operator: &Operator) -> Vec<String> {
    let (_, body) = operator.get("/readyz").unwrap_or_default();
    body.lines().filter(|line| line.starts_with("may not ")).map(str::to_owned).collect()
}

/// Longer than others wait: whatever is new takes the operator one question for each namespace.
async fn until_missing(operator: &Operator, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
    let began = Instant::now();
    loop {
        let lines = missing(operator);
        if holds(&lines) {
            return lines;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "{what}: {lines:?}\n{}", operator.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes verbs from a role one by one, and sees each named by an operator that is not ready yet.
async fn take_away(
    roles: &Roles,
    of: Of,
    taken: impl Fn(&Verb) -> bool,
    operator: impl AsyncFn() -> Operator,
    kept: &mut Option<Operator>,
) -> usize {
    let all = roles.verbs(of).await;
    // What is asked for only at need is named by the condition of whoever needs it (stores/kubernetes_login.rs).
    let at_need = |verb: &Verb| verb.1 == AT_NEED.resource;
    let mut tried = 0;
    for taken in all.iter().filter(|verb| !at_need(verb) && taken(verb)) {
        let rest = all.iter().filter(|verb| *verb != taken).map(rule).collect();
        roles.set(of, rest).await;
        if kept.is_none() {
            *kept = Some(operator().await);
        }
        let operator = kept.as_ref().expect("just started");
        let (group, resource, name, verb) = taken;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let place = of.namespace.map_or("in the whole cluster".to_owned(), |name| format!("in namespace {name}"));
        let begins = format!("may not {verb} {resource}{group}{name} {place} (");
        let only = |lines: &[String]| matches!(lines, [line] if line.starts_with(&begins));
        let lines = until_missing(operator, &begins, only).await;
        assert!(lines[0].contains(MEND), "{lines:?}");
        tried += 1;
    }
    roles.set(of, all.iter().map(rule).collect()).await;
    tried
}

async fn until_all_is_well(operator: &Operator) {
    until_missing(operator, "nothing is missing", <[String]>::is_empty).await;
    let began = Instant::now();
    while operator.get("/readyz") != Some((200, "ok\n".into())) {
        assert!(began.elapsed() < PATIENCE, "{:?}", operator.get("/readyz"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn each_verb_that_is_taken_away_is_named() {
    let world = World::start(AuditLevel::Metadata);
    let roles = Roles::of(&world).await;
    let (mut operator, mut tried) = (None, 0);
    for of in [CLUSTER, OWN] {
        tried += take_away(&roles, of, |_| true, async || world.operator_unready(&[]), &mut operator).await;
    }
    println!("{tried} verbs were taken away");
    until_all_is_well(&operator.expect("one was started")).await;
}

#[tokio::test]
async fn each_verb_that_is_taken_away_in_one_of_some_namespaces_is_named_with_it() {
    let plane = devcluster::ControlPlane::builder().audit(AuditLevel::Metadata).start().unwrap();
    let world = World::of_namespaces(plane, &["a", "b"]);
    let roles = Roles::of(&world).await;
    let [a, b] = ["a", "b"].map(|name| Of { namespace: Some(name), name: ROLE });
    let events = Of { namespace: Some(EVENTS), name: "spacesync-events" };
    let scope = Scope::of(&["a".into(), "b".into()], SYSTEM).unwrap();
    are_exactly_what_is_needed(&roles, &scope, &[CLUSTER, OWN, events, a, b]).await;
    let (mut kept, mut tried) = (None, 0);
    let operator = async || world.operator_unready(&[("SPACESYNC_WATCH_NAMESPACES", "a,b")]);
    for of in [CLUSTER, OWN, events, a] {
        tried += take_away(&roles, of, |_| true, operator, &mut kept).await;
    }
    // The same role as in the other.
    tried += take_away(&roles, b, |verb| verb.1 == "secrets", operator, &mut kept).await;
    println!("{tried} verbs were taken away");
    until_all_is_well(&kept.expect("one was started")).await;
}

#[tokio::test]
async fn what_is_taken_from_one_that_is_ready_is_named_when_it_is_needed_and_it_goes_on_serving() {
    let world = World::start(AuditLevel::Metadata);
    let roles = Roles::of(&world).await;
    let all = roles.rules(CLUSTER).await;
    let operator = world.operator(&[]);
    let verbs = roles.verbs(CLUSTER).await;
    let rest = verbs.iter().filter(|verb| (verb.1.as_str(), verb.3.as_str()) != ("deployments", "patch")).map(rule);
    roles.set(CLUSTER, rest.collect()).await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.workload::<k8s_openapi::api::apps::v1::Deployment>("ingest", crate::workload::template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    let app = tenant.until_app("ingest", "Ready", "False/InjectionFailed").await;
    let why = app_message(&app, "Ready");
    assert!(why.contains("cannot patch resource \"deployments\""), "{why}");
    let lines = until_missing(&operator, "it is named", |lines| !lines.is_empty()).await;
    // It is right for a release of the chart, and in a namespace of another name.
    let line = "may not patch deployments.apps in the whole cluster (to mount the secrets in flow apps); \
                apply the roles of this version: upgrade the chart, or deploy/rbac.yaml with the operator's namespace in it";
    assert_eq!(lines, [line]);
    assert_eq!(operator.get("/readyz"), Some((200, format!("ok\n{line}\n"))));
    assert!(operator.log().contains(&format!("missing permission: {line}")));
    tenant.until_secret(&[("A", "1")]).await;
    roles.set(CLUSTER, all).await;
    until_missing(&operator, "nothing is missing", <[String]>::is_empty).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
}

#[tokio::test]
async fn a_replica_that_may_not_list_what_it_must_know_leaves_the_lease_to_one_that_may() {
    let world = World::start(AuditLevel::Metadata);
    let roles = Roles::of(&world).await;
    let all = roles.rules(CLUSTER).await;
    let sees = |verb: &Verb| verb.1 == "flowapps" && matches!(verb.3.as_str(), "list" | "watch");
    roles.set(CLUSTER, roles.verbs(CLUSTER).await.iter().filter(|verb| !sees(verb)).map(rule).collect()).await;
    let blind = world.operator_unready(&[]);
    until_missing(&blind, "it may not see flow apps", |lines| lines.len() == 2).await;
    let leases = Api::<Lease>::namespaced(world.client().await, SYSTEM);
    // Nothing tells that it will not be taken. Who may takes it at the start.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(leases.get_opt("spacesync").await.unwrap(), None);
    assert!(blind.get("/metrics").unwrap().1.contains("spacesync_leader 0"));
    roles.set(CLUSTER, all).await;
    until_all_is_well(&blind).await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
}

/// Kubernetes 1.33 has them off. Without them every `list` of the role is needed, with them none.
#[tokio::test]
async fn where_the_api_server_streams_no_lists_each_is_one_request() {
    let gate = "--feature-gates=WatchList=false";
    let plane = devcluster::ControlPlane::builder().audit(AuditLevel::Metadata).api_server_arg(gate).start().unwrap();
    let world = World::on(plane);
    let operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let used: BTreeSet<_> = world.requests_of_operator().into_iter().filter(|(verb, _)| verb == "list").collect();
    // Where all namespaces are served, these are among them.
    let asked = |permission: &&Permission| !permission.place.spots(&Scope::Cluster, SYSTEM).is_empty();
    for permission in PERMISSIONS.iter().filter(asked).filter(|permission| permission.verbs.contains("list")) {
        let path = format!("/{}?", permission.resource);
        assert!(used.iter().any(|(_, uri)| uri.contains(&path)), "nobody lists {}: {used:?}", permission.resource);
    }
    assert!(operator.log().contains("the API server streams no lists"));
    // What is listed in pages costs the more requests the more there is.
    assert!(!used.iter().any(|(_, uri)| uri.contains("limit=") || uri.contains("continue=")), "{used:?}");
}

#[tokio::test]
async fn permissions_are_asked_for_in_two_requests_at_the_start_and_never_again() {
    let world = World::start(AuditLevel::Metadata);
    let _operator = world.operator(&[]);
    let asked = || {
        let requests = world.requests_of_operator();
        requests.into_iter().filter(|(_, path)| path.contains("authorization.k8s.io")).count()
    };
    let began = Instant::now();
    while asked() < 2 {
        assert!(began.elapsed() < PATIENCE, "{}", asked());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn what_a_store_is_built_from_is_read_as_soon_as_it_may_be_again() {
    let world = World::start(AuditLevel::Metadata);
    let _operator = world.operator(&[]);
    let roles = Roles::of(&world).await;
    let all = roles.rules(OWN).await;
    let is_ca = |verb: &Verb| verb.1 == "configmaps" && verb.3 == "get";
    roles.set(OWN, roles.verbs(OWN).await.iter().filter(|verb| !is_ca(verb)).map(rule).collect()).await;
    let admin = Tenant::unbound(&world).await;
    let ca = Api::<ConfigMap>::namespaced(admin.client.clone(), SYSTEM);
    let (_, pem) = world.api_server();
    admin.apply(&ca, "ca", json!({"data": {"ca.crt": pem}})).await;
    admin.apply(&admin.own(), "token", json!({"stringData": {"token": "s.1"}})).await;
    let store = json!({
        "address": "https://127.0.0.1:8200",
        "caBundle": {"configMap": {"name": "ca", "key": "ca.crt"}},
        "auth": {"tokenSecret": {"name": "token", "key": "token"}},
    });
    admin.manager("bao", json!({"openBao": store})).await;
    let said = |words: &'static str| {
        until(Api::<SecretManager>::all(admin.client.clone()), "bao", words, move |manager| {
            let conditions = manager.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
            find(conditions, "Ready")
                .is_some_and(|ready| format!("{}: {}", ready.reason, ready.message).contains(words))
        })
    };
    let refused = said("SecretManagerInvalid: SecretManager bao cannot be used: configmaps \"ca\" is forbidden").await;
    roles.set(OWN, all).await;
    let built = said("Unused: ").await;
    assert_eq!(built.metadata.generation, refused.metadata.generation, "nobody touched it");
}
