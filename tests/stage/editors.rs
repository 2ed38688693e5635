//! Two spaces with a flow app of each Node-RED, `red-4` and `red-5`: `newsroom` is kept in the embedded store, `archive` in
//! `OpenBao`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use devcluster::BaoClient;
use kube::{Api, Client, api::ListParams};
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, SpaceSecretSync, condition::find};

use super::{
    SYSTEM, node_red,
    objects::{self, spacesync},
};

/// Kept in the embedded store.
pub const EMBEDDED: &str = "newsroom";
/// Kept in the vault, as `spaces/archive`.
pub const VAULTED: &str = "archive";
const KEY: &str = "MY_API_TOKEN";
const APPS: [&str; 2] = ["red-4", "red-5"];

const POLICY: &str = r#"
path "secret/data/spaces/*" { capabilities = ["read"] }
path "secret/metadata/spaces/*" { capabilities = ["read"] }
path "secret/detailed-metadata/spaces/*" { capabilities = ["list"] }
"#;

/// Brings them up, one pod a flow app; returns when all have loaded what their space has.
pub async fn raise(client: &Client, bao: &BaoClient, limit: Duration) -> Result<()> {
    bao.put(&format!("spaces/{VAULTED}"), json!({KEY: "the first of the vault"}))?;
    let mut all = vault(bao)?;
    for space in [EMBEDDED, VAULTED] {
        all.extend(team(space));
    }
    all.extend(objects::bound(EMBEDDED, KEY, "the first of the newsroom"));
    objects::apply(client, &all).await?;
    let began = Instant::now();
    for space in [EMBEDDED, VAULTED] {
        let (syncs, apps) = (
            Api::<SpaceSecretSync>::namespaced(client.clone(), space),
            Api::<FlowApp>::namespaced(client.clone(), space),
        );
        loop {
            let status = syncs.get("secrets").await?.status.unwrap_or_default();
            let is_delivered =
                find(&status.conditions, "Delivered").is_some_and(|condition| condition.status == "True");
            if is_delivered && status.delivery.as_ref().map(|delivery| delivery.loaded) == Some(APPS.len()) {
                break;
            }
            let apps: Vec<_> = apps.list(&ListParams::default()).await?.into_iter().map(|app| app.status).collect();
            ensure!(began.elapsed() < limit, "{space} is not delivered after {limit:?}: {status:?}\n{apps:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// What a team has in its namespace. FlowApps come before their Deployments: then pods start once, with the volume.
fn team(space: &str) -> Vec<Json> {
    let mut objects = node_red::objects(space, 1);
    let deployment = objects.pop().unwrap_or_default();
    objects.push(spacesync("SpaceSecretSync", Some(space), "secrets", &json!({})));
    for app in APPS {
        let spec = json!({"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": app}});
        objects.push(spacesync("FlowApp", Some(space), app, &spec));
    }
    objects.extend(APPS.map(|app| {
        let mut deployment = deployment.clone();
        let labels = json!({"app": app});
        deployment["metadata"]["name"] = app.into();
        deployment["spec"]["selector"]["matchLabels"] = labels.clone();
        deployment["spec"]["template"]["metadata"]["labels"] = labels;
        if app == "red-4" {
            deployment["spec"]["template"]["spec"]["containers"][0]["image"] = node_red::TAG_4.into();
        }
        deployment
    }));
    objects
}

/// The vault's space, and what the operator needs to read it.
fn vault(bao: &BaoClient) -> Result<Vec<Json>> {
    let manager = json!({"openBao": {
        "address": bao.url(), "mount": "secret", "pathPrefix": "spaces/",
        "caBundle": {"configMap": {"name": "openbao-ca", "key": "ca.crt"}},
        "auth": {"tokenSecret": {"name": "bao-token", "key": "token"}},
    }});
    let token = bao.token_with_policy(POLICY)?;
    let ca = bao.ca_pem().context("the vault has no CA")?;
    Ok(vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-token", "namespace": SYSTEM},
               "stringData": {"token": token}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "openbao-ca", "namespace": SYSTEM},
               "data": {"ca.crt": ca}}),
        spacesync("SecretManager", None, "central", &manager),
        spacesync("Space", None, VAULTED, &json!({"namespaces": [VAULTED], "secretManagerRef": {"name": "central"}})),
    ])
}
