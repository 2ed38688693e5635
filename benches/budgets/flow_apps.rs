//! The same world with flow apps: of each sync a workload with three running pods, as objects that no node runs.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, ServiceAccount},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use spacesync::resources::FlowApp;

use crate::crowd::{CONNECTIONS, Crowd, name};

/// Of each flow app.
pub const PODS: usize = 3;
/// Until the controller manager has given a namespace its service account.
const LIMIT: Duration = Duration::from_mins(5);

/// Adds them to a world whose operator does not run yet.
pub async fn add(crowd: &Crowd) -> Result<()> {
    let all = stream::iter(0..crowd.size).map(|number| one(crowd, name(number)));
    all.buffer_unordered(CONNECTIONS).try_collect::<Vec<()>>().await?;
    Ok(())
}

async fn one(crowd: &Crowd, namespace: String) -> Result<()> {
    let template = json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "node-red", "image": "node-red"}]},
    });
    let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "app"}}, "template": template});
    let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": "app"}, "spec": spec}))?;
    crowd.api(&namespace).create(&PostParams::default(), &deployment).await?;
    let app: FlowApp = serde_json::from_value(json!({
        "apiVersion": "spacesync.dev/v1alpha1", "kind": "FlowApp", "metadata": {"name": "app"},
        "spec": {"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": "app"}},
    }))?;
    crowd.api(&namespace).create(&PostParams::default(), &app).await?;
    until_pods_may_be_made(&crowd.api(&namespace)).await?;
    for number in 0..PODS {
        let pod = format!("app-{number}");
        let object: Pod = serde_json::from_value(json!({
            "metadata": {"name": pod, "labels": {"app": "app", "spacesync.dev/flow-app": "app"}},
            "spec": {"containers": [{"name": "node-red", "image": "node-red"}], "automountServiceAccountToken": false},
        }))?;
        let pods = crowd.api::<Pod>(&namespace);
        pods.create(&PostParams::default(), &object).await?;
        let container = json!({
            "name": "node-red", "ready": true, "started": true, "restartCount": 0, "image": "node-red", "imageID": "",
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        });
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                            "containerStatuses": [container]});
        pods.patch_status(&pod, &PatchParams::default(), &Patch::Strategic(json!({"status": status}))).await?;
    }
    Ok(())
}

async fn until_pods_may_be_made(accounts: &Api<ServiceAccount>) -> Result<()> {
    let began = std::time::Instant::now();
    while accounts.get_opt("default").await?.is_none() {
        if began.elapsed() > LIMIT {
            bail!("no service account after {LIMIT:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
