//! Two tenants: one whose secrets are wanted, and one that wants them.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret},
};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value as Json, json};
use spacesync::resources::{FlowApp, Space, SpaceSecretSync};

use super::{
    editor::{create, editor},
    objects::sync,
};
use crate::{
    scan::{Canary, name_of, objects},
    tenant::{Tenant, condition, until, values},
    workload::{app_condition, template},
    world::{SYSTEM, World},
};

/// Two tenants: one whose secrets are wanted, and one that wants them.
pub struct Stage {
    pub other: Tenant<'static>,
    pub theirs: Canary,
    pub tenant: Tenant<'static>,
    pub mine: Canary,
    /// The tenant's own client.
    pub editor: Client,
}

impl Stage {
    pub async fn set() -> Self {
        let (theirs, mine) = (Canary::new(), Canary::new());
        let other = World::shared().tenant(&[("A", &theirs.text())]).await;
        other.sync_named("crown", json!({"target": {"name": "crown-jewels"}})).await;
        other.workload::<Deployment>("crown-work", template()).await;
        let reference = json!({"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": "crown-work"}});
        other.flow_app("crown-app", reference).await;
        // Its pods are counted a moment later.
        until(other.api::<FlowApp>(), "crown-app", "in order", |app| {
            app_condition(app, "Ready") == "True/Ready" && app_condition(app, "Loaded") == "True/NoPods"
        })
        .await;
        until(other.api::<SpaceSecretSync>(), "crown", "in order", |sync| {
            condition(sync, "Ready") == "True/Synced" && condition(sync, "Delivered") == "True/NoPods"
        })
        .await;

        let tenant = World::shared().tenant(&[("A", &mine.text())]).await;
        let editor = editor(&tenant).await;
        let stage = Self { other, theirs, tenant, mine, editor };
        stage.sent(sync("own", &json!({}))).await.expect("a tenant may have a sync");
        stage.until_own("").await;
        stage
    }

    /// Creates an object as the tenant does; gives the status code of a refusal.
    pub async fn sent(&self, object: Json) -> Result<(), u16> {
        create(&self.editor, &self.tenant.name, object).await
    }

    /// The control: what the tenant may have does arrive.
    pub async fn until_own(&self, suffix: &str) {
        let own = format!("{}{suffix}", self.mine.text());
        until(self.tenant.api::<Secret>(), "own", "it holds the tenant's own value", |s| values(s)["A"] == own).await;
    }

    /// All that names what is the other's.
    pub async fn hostile(&self) -> Vec<String> {
        let other = &self.other.name;
        let crown = self.other.api::<SpaceSecretSync>().get("crown").await.unwrap();
        let url = format!("{}/api/v1/namespaces/{SYSTEM}/secrets/space-{other}", World::shared().plane.url());
        vec![
            other.clone(),
            format!("space-{other}"),
            SYSTEM.to_owned(),
            "crown".to_owned(),
            "crown-jewels".to_owned(),
            "crown-app".to_owned(),
            crown.status.unwrap().revision.unwrap(),
            crown.metadata.uid.unwrap(),
            format!("{SYSTEM}/space-{other}"),
            format!("../../{SYSTEM}/secrets/space-{other}"),
            format!("secret/data/spaces/{other}"),
            format!("/var/run/spacesync/../../{other}"),
            url,
        ]
    }

    /// Everything of the other tenant, by resourceVersion.
    pub async fn of_the_other(&self) -> BTreeMap<String, String> {
        let admin = &self.other.client;
        let mut all = objects(admin, Some(&self.other.name)).await;
        all.retain(|object| object.types.as_ref().is_none_or(|types| types.kind != "Event"));
        let mut versions: BTreeMap<_, _> =
            all.iter().map(|object| (name_of(object), object.resource_version().unwrap_or_default())).collect();
        let space = Api::<Space>::all(admin.clone()).get(&self.other.name).await.unwrap();
        let entry = self.other.own().get(&format!("space-{}", self.other.name)).await.unwrap();
        let namespace = Api::<Namespace>::all(admin.clone()).get(&self.other.name).await.unwrap();
        versions.insert("the Space".into(), space.resource_version().unwrap_or_default());
        versions.insert("the entry".into(), entry.resource_version().unwrap_or_default());
        versions.insert("the Namespace".into(), namespace.resource_version().unwrap_or_default());
        versions
    }
}
