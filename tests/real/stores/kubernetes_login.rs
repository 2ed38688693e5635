//! Logging in with the operator's own service account: a token of the API server, which OpenBao has it review.

use std::time::{Duration, Instant};

use devcluster::{AuditLevel, OpenBaoOptions};
use k8s_openapi::api::rbac::v1::Role;
use kube::{Api, api::PostParams};
use serde_json::{Value as Json, json};
use spacesync::resources::SpaceSecretSync;

use super::vault::{InVault, READER};
use crate::{
    tenant::{PATIENCE, condition, until},
    world::{SYSTEM, World},
};

/// With the auth method set up as docs/stores.md says, and this over the role.
async fn with_role(role: Json) -> InVault<'static> {
    with_role_in(World::shared(), role).await
}

async fn with_role_in(world: &World, role: Json) -> InVault<'_> {
    let vault = InVault::bare_in(world, OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    vault.store.request("PUT", "sys/policies/acl/spacesync", Some(&json!({"policy": READER}).to_string())).unwrap();
    vault.store.request("POST", "sys/auth/kubernetes", Some(r#"{"type":"kubernetes"}"#)).unwrap();
    let (url, ca) = world.api_server();
    let config = json!({
        "kubernetes_host": url,
        "kubernetes_ca_cert": ca,
        // In a cluster OpenBao has the tokens reviewed with its own service account.
        "token_reviewer_jwt": world.token_of_operator(),
        "disable_local_ca_jwt": true,
    });
    vault.store.request("POST", "auth/kubernetes/config", Some(&config.to_string())).unwrap();
    change_role(&vault, role);
    vault
}

fn change_role(vault: &InVault<'_>, over: Json) {
    let mut role = json!({
        "bound_service_account_names": ["spacesync"],
        "bound_service_account_namespaces": [SYSTEM],
        "audience": "openbao",
        "token_policies": ["spacesync"],
        "token_ttl": "1h",
    });
    crate::tenant::merge(&mut role, over);
    vault.store.request("POST", "auth/kubernetes/role/spacesync", Some(&role.to_string())).unwrap();
}

async fn log_in(vault: &InVault<'_>, over: Json) {
    let mut auth = json!({"role": "spacesync", "audience": "openbao"});
    crate::tenant::merge(&mut auth, over);
    vault.manager_with(json!({"auth": {"kubernetes": auth}}), json!({})).await;
}

/// Requests of the operator for tokens of its own so far.
fn tokens_made(world: &World) -> usize {
    let requests = world.requests_of_operator();
    requests.iter().filter(|(verb, path)| verb == "create" && path.contains("/serviceaccounts/spacesync/token")).count()
}

#[tokio::test]
async fn the_operator_logs_in_with_its_own_service_account_once_for_all_that_it_asks() {
    let vault = with_role(json!({})).await;
    let before = tokens_made(World::shared());
    log_in(&vault, json!({})).await;
    vault.synced(&[("A", "1")]).await;
    for n in 1..=3 {
        vault.put(json!({"A": format!("1-{n}")}));
        vault.ask(n).await;
    }
    vault.tenant.until_secret(&[("A", "1-3")]).await;
    assert_eq!(vault.asked("auth/kubernetes/login"), 1);
    assert!(tokens_made(World::shared()) > before);
    let log = World::shared_log();
    assert!(log.lines().any(|line| line.contains("logged in") && line.contains(&vault.tenant.name)));
}

#[tokio::test]
async fn what_keeps_it_out_is_said_and_heals_without_a_restart() {
    let vault = with_role(json!({"audience": "another"})).await;
    vault.tenant.sync(json!({})).await;
    log_in(&vault, json!({"role": "nobody"})).await;
    let none = vault.until_not_ready("SourceUnauthorized").await;
    assert!(none.contains("auth/kubernetes has no role nobody: create it"), "{none}");
    vault.until_manager("False/SourceUnauthorized").await;
    log_in(&vault, json!({})).await;
    vault.until_manager("role spacesync of auth/kubernetes is for another audience").await;
    change_role(&vault, json!({"bound_service_account_names": ["another"]}));
    vault.until_manager("role spacesync of auth/kubernetes is not bound to the operator's service account").await;
    change_role(&vault, json!({}));
    vault.until_manager("True/Reachable").await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_token_that_the_api_server_would_accept_is_sent_to_nobody() {
    let vault = with_role(json!({})).await;
    vault.tenant.sync(json!({})).await;
    log_in(&vault, json!({"audience": "https://kubernetes.default.svc"})).await;
    let text = vault.until_not_ready("SecretManagerInvalid").await;
    assert!(text.contains("the API server itself accepts tokens of the audience"), "{text}");
    assert_eq!(vault.asked("auth/kubernetes/login"), 0);
}

#[tokio::test]
async fn a_revoked_login_is_made_anew_once_and_no_sync_notices() {
    let vault = with_role(json!({})).await;
    log_in(&vault, json!({})).await;
    vault.synced(&[("A", "1")]).await;
    for n in 0..10 {
        vault.tenant.sync_named(&format!("other-{n}"), json!({})).await;
    }
    vault.store.request("POST", "sys/leases/revoke-prefix/auth/kubernetes/login", Some(r#"{"sync":true}"#)).unwrap();
    vault.put(json!({"A": "2"}));
    for n in 0..10 {
        let request = json!({"metadata": {"annotations": {"spacesync.dev/sync-requested": "manual/1"}}});
        vault.tenant.patch::<SpaceSecretSync>(&format!("other-{n}"), request).await;
    }
    for n in 0..10 {
        let name = format!("other-{n}");
        let sync = until(vault.tenant.api::<SpaceSecretSync>(), &name, "handled", |sync| {
            sync.status.as_ref().is_some_and(|status| status.last_handled_sync_request.is_some())
        });
        assert_eq!(condition(&sync.await, "Ready"), "True/Synced", "{name}");
    }
    assert_eq!(vault.asked("auth/kubernetes/login"), 2);
    assert_eq!(vault.asked("auth/token/lookup-self"), 1);
}

#[tokio::test]
async fn a_login_that_ends_soon_is_renewed_while_nobody_asks_for_anything() {
    let vault = with_role(json!({"token_ttl": "6s"})).await;
    log_in(&vault, json!({})).await;
    vault.tenant.sync(json!({"autoSync": "Manual"})).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    let began = Instant::now();
    while vault.asked("auth/token/renew-self") < 2 {
        assert!(began.elapsed() < PATIENCE, "{:?}", vault.store.requests());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    vault.put(json!({"A": "2"}));
    vault.ask(1).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    assert_eq!(vault.asked("auth/kubernetes/login"), 1);
}

#[tokio::test]
async fn an_operator_that_may_make_no_token_says_so_and_goes_on_when_it_may() {
    let world = World::start(AuditLevel::Metadata);
    let roles = Api::<Role>::namespaced(world.client().await, SYSTEM);
    let role = roles.get("spacesync-operator").await.unwrap();
    let mut less = role.clone();
    less.metadata.managed_fields = None;
    less.rules.as_mut().unwrap().retain(|rule| rule.resources != Some(vec!["serviceaccounts/token".to_owned()]));
    roles.replace("spacesync-operator", &PostParams::default(), &less).await.unwrap();
    let _operator = world.operator(&[]);
    let vault = with_role_in(&world, json!({})).await;
    vault.tenant.sync(json!({})).await;
    log_in(&vault, json!({})).await;
    let text = vault.until_not_ready("SourceNoToken").await;
    assert!(text.contains("deploy/rbac.yaml") && text.contains("serviceaccounts/token"), "{text}");
    less = roles.get("spacesync-operator").await.unwrap();
    less.rules = role.rules;
    roles.replace("spacesync-operator", &PostParams::default(), &less).await.unwrap();
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    assert!(tokens_made(&world) >= 2);
}
