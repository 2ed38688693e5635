//! The operator's role: each verb of it is one that the operator misses, and names, when it is taken away.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use devcluster::AuditLevel;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::{Api, api::PostParams};
use serde_json::json;
use spacesync::operator::permissions::{AT_NEED, MEND, PERMISSIONS, Permission, Place};

use crate::{
    tenant::PATIENCE,
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

/// The roles as `deploy/rbac.yaml` has them.
struct Roles {
    cluster: Api<ClusterRole>,
    own: Api<Role>,
}

impl Roles {
    async fn of(world: &World) -> Self {
        let client = world.client().await;
        Self { cluster: Api::all(client.clone()), own: Api::namespaced(client, SYSTEM) }
    }

    async fn rules(&self, place: Place) -> Vec<PolicyRule> {
        match place {
            Place::Cluster => self.cluster.get(ROLE).await.unwrap().rules,
            Place::Own => self.own.get(ROLE).await.unwrap().rules,
        }
        .unwrap_or_default()
    }

    async fn verbs(&self, place: Place) -> Vec<Verb> {
        self.rules(place).await.iter().flat_map(verbs).collect()
    }

    async fn set(&self, place: Place, rules: Vec<PolicyRule>) {
        let params = PostParams::default();
        match place {
            Place::Cluster => {
                let role = ClusterRole { rules: Some(rules), ..self.cluster.get(ROLE).await.unwrap() };
                self.cluster.replace(ROLE, &params, &role).await.unwrap();
            }
            Place::Own => {
                let role = Role { rules: Some(rules), ..self.own.get(ROLE).await.unwrap() };
                self.own.replace(ROLE, &params, &role).await.unwrap();
            }
        }
    }
}

fn needed(place: Place) -> BTreeSet<Verb> {
    let all = PERMISSIONS.iter().chain([&AT_NEED]).filter(|permission| permission.place == place);
    let of = |permission: &Permission| {
        let names = permission.names.iter().map(|name| vec![(*name).to_owned()]);
        let names = names.map(Some).chain(permission.names.is_empty().then_some(None));
        let rule = |names| PolicyRule {
            api_groups: Some(vec![permission.group.to_owned()]),
            resources: Some(vec![permission.resource.to_owned()]),
            resource_names: names,
            verbs: permission.verbs.split(' ').map(str::to_owned).collect(),
            ..PolicyRule::default()
        };
        names.map(rule).flat_map(|rule| verbs(&rule)).collect::<Vec<_>>()
    };
    all.flat_map(of).collect()
}

#[tokio::test]
async fn the_roles_are_what_the_operator_needs_and_nothing_else() {
    let roles = Roles::of(World::shared()).await;
    for place in [Place::Cluster, Place::Own] {
        let given = roles.verbs(place).await;
        let distinct: BTreeSet<_> = given.iter().cloned().collect();
        assert_eq!(distinct, needed(place), "{place:?}");
        assert_eq!(distinct.len(), given.len(), "{place:?} gives something twice");
    }
}

/// What /readyz says of permissions.
fn missing(operator: &Operator) -> Vec<String> {
    let (_, body) = operator.get("/readyz").unwrap_or_default();
    body.lines().filter(|line| line.starts_with("may not ")).map(str::to_owned).collect()
}

async fn until_missing(operator: &Operator, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
    let began = Instant::now();
    loop {
        let lines = missing(operator);
        if holds(&lines) {
            return lines;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {lines:?}\n{}", operator.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_verb_that_is_taken_away_is_named() {
    let world = World::start(AuditLevel::Metadata);
    let roles = Roles::of(&world).await;
    let (mut operator, mut tried) = (None, 0);
    for place in [Place::Cluster, Place::Own] {
        let all = roles.verbs(place).await;
        // What is asked for only at need is named by the condition of whoever needs it (stores/kubernetes_login.rs).
        let at_need = |verb: &Verb| verb.1 == AT_NEED.resource;
        for taken in all.iter().filter(|verb| !at_need(verb)) {
            let rest = all.iter().filter(|verb| *verb != taken).map(rule).collect();
            roles.set(place, rest).await;
            let operator = operator.get_or_insert_with(|| world.operator_unready(&[]));
            let (group, resource, name, verb) = taken;
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let begins = format!("may not {verb} {resource}{group}{name} in ");
            let only = |lines: &[String]| matches!(lines, [line] if line.starts_with(&begins));
            let lines = until_missing(operator, &begins, only).await;
            let place = if place == Place::Own { "in namespace spacesync-system (" } else { "in the whole cluster (" };
            assert!(lines[0].contains(place) && lines[0].ends_with(MEND), "{lines:?}");
            tried += 1;
        }
        roles.set(place, all.iter().map(rule).collect()).await;
    }
    println!("{tried} verbs were taken away");
    let operator = operator.expect("one was started");
    until_missing(&operator, "nothing is missing", <[String]>::is_empty).await;
    let began = Instant::now();
    while operator.get("/readyz") != Some((200, "ok\n".into())) {
        assert!(began.elapsed() < PATIENCE, "{:?}", operator.get("/readyz"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_is_taken_from_one_that_is_ready_is_named_when_it_is_needed_and_it_goes_on_serving() {
    let world = World::start(AuditLevel::Metadata);
    let roles = Roles::of(&world).await;
    let all = roles.rules(Place::Cluster).await;
    let operator = world.operator(&[]);
    let verbs = roles.verbs(Place::Cluster).await;
    let rest = verbs.iter().filter(|verb| (verb.1.as_str(), verb.3.as_str()) != ("deployments", "patch")).map(rule);
    roles.set(Place::Cluster, rest.collect()).await;
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
    roles.set(Place::Cluster, all).await;
    until_missing(&operator, "nothing is missing", <[String]>::is_empty).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
}

/// Kubernetes 1.33 has them off. Without them every `list` of the role is needed, with them none.
#[tokio::test]
async fn where_the_api_server_streams_no_lists_they_are_listed() {
    let gate = "--feature-gates=WatchList=false";
    let plane = devcluster::ControlPlane::builder().audit(AuditLevel::Metadata).api_server_arg(gate).start().unwrap();
    let world = World::on(plane);
    let operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let used: BTreeSet<_> = world.requests_of_operator().into_iter().filter(|(verb, _)| verb == "list").collect();
    for permission in PERMISSIONS.iter().filter(|permission| permission.verbs.contains("list")) {
        let path = format!("/{}?", permission.resource);
        assert!(used.iter().any(|(_, uri)| uri.contains(&path)), "nobody lists {}: {used:?}", permission.resource);
    }
    assert!(operator.log().contains("the API server streams no lists"));
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
