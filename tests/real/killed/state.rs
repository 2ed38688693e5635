//! How everything of a tenant stands, without what differs from one run to the next by itself.

use std::{collections::BTreeMap, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret},
};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use spacesync::{
    resources::{FlowApp, SecretManager, Space, SpaceSecretSync},
    secret::Revision,
};

use crate::tenant::Tenant;

/// Objects by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing(BTreeMap<String, Json>);

impl Standing {
    pub async fn of(tenant: &Tenant<'_>) -> Self {
        let mut all = Self::default();
        all.take(list::<Secret>(tenant.api()).await, tenant);
        all.take(list::<ConfigMap>(tenant.api()).await, tenant);
        all.take(list::<Deployment>(tenant.api()).await, tenant);
        all.take(list::<Pod>(tenant.api()).await, tenant);
        all.take(list::<SpaceSecretSync>(tenant.api()).await, tenant);
        all.take(list::<FlowApp>(tenant.api()).await, tenant);
        let (spaces, managers) =
            (Api::<Space>::all(tenant.client.clone()), Api::<SecretManager>::all(tenant.client.clone()));
        all.take(vec![spaces.get(&tenant.name).await.expect("the space")], tenant);
        all.take(vec![managers.get(&tenant.name).await.expect("the manager")], tenant);
        all
    }

    fn take<K: Resource<DynamicType = ()> + Serialize>(&mut self, objects: Vec<K>, tenant: &Tenant<'_>) {
        for object in objects {
            let name = object.name_any().replace(&tenant.name, "TENANT");
            let mut json = serde_json::to_value(&object).expect("an object is JSON");
            // What the controller manager says of its rollouts depends on how many it came to see.
            if let Some(fields) = json.as_object_mut().filter(|_| K::kind(&()) == "Deployment") {
                fields.remove("status");
            }
            settle(&mut json, &tenant.name);
            self.0.insert(format!("{} {name}", K::kind(&())), json);
        }
    }

    /// Line by line, for whoever reads why a test failed.
    pub fn differs_from(&self, expected: &Self) -> String {
        let mut text = String::new();
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(expected.0.keys()).collect();
        for name in names {
            let lines = |of: &Self| -> Vec<String> {
                let text = of.0.get(name).map(|json| serde_json::to_string_pretty(json).expect("JSON"));
                text.unwrap_or_else(|| "is not there".into()).lines().map(str::to_owned).collect()
            };
            let (is, was) = (lines(self), lines(expected));
            let gone = was.iter().filter(|line| !is.contains(line)).map(|line| format!("  expected {line}"));
            let come = is.iter().filter(|line| !was.contains(line)).map(|line| format!("  is       {line}"));
            let changes: Vec<_> = gone.chain(come).collect();
            if self.0.get(name) != expected.0.get(name) {
                let _ = writeln!(text, "{name}\n{}", changes.join("\n"));
            }
        }
        text
    }
}

async fn list<K>(api: Api<K>) -> Vec<K>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    api.list(&ListParams::default()).await.expect("a list").items
}

/// What the API server or a clock gives.
const VOLATILE: [&str; 5] = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace"];

fn settle(json: &mut Json, tenant: &str) {
    match json {
        Json::Object(fields) => {
            fields.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            for (name, value) in fields.iter_mut() {
                if name == "data"
                    && let Json::Object(data) = value
                {
                    data.values_mut().for_each(decode);
                }
                // How often a signal was given, and when: that the pod has it is in its condition. The others are another
                // tenant's or another world's.
                if ["spacesync.dev/signal", "fingerprint", "ca.crt"].contains(&name.as_str()) {
                    *value = name.to_uppercase().into();
                }
                settle(value, tenant);
            }
        }
        Json::Array(list) => list.iter_mut().for_each(|value| settle(value, tenant)),
        Json::String(text) => *json = settled(text, tenant),
        _ => {}
    }
}

/// The data of a Secret, so that what stands in it is seen; that of a `ConfigMap` is text as it is.
fn decode(value: &mut Json) {
    let text =
        value.as_str().and_then(|text| STANDARD.decode(text).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(text) = text {
        *value = text.into();
    }
}

fn settled(text: &str, tenant: &str) -> Json {
    if let Ok(mut inner @ (Json::Object(_) | Json::Array(_))) = serde_json::from_str(text) {
        settle(&mut inner, tenant);
        return inner;
    }
    let word = |word: &str| -> String {
        if word.parse::<jiff::Timestamp>().is_ok() {
            return "TIME".into();
        }
        // The fingerprint is another for each tenant.
        if let Ok(revision) = word.parse::<Revision>() {
            return format!("REVISION {}", revision.version);
        }
        word.replace(tenant, "TENANT")
    };
    let parts: Vec<_> = text.split('/').map(word).collect();
    json!(parts.join("/"))
}
