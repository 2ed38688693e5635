//! The tenant's own client, and what it is answered.

use k8s_openapi::api::{authorization::v1::SelfSubjectAccessReview, core::v1::ServiceAccount, rbac::v1::RoleBinding};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value as Json, json};

use super::objects::resource_of;
use crate::tenant::{PATIENCE, Tenant, until};

/// A user with the role `edit` in a tenant's namespace, as an admin gives it.
pub async fn editor(tenant: &Tenant<'_>) -> Client {
    let user = format!("editor@{}", tenant.name);
    let body = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    tenant.apply(&tenant.api::<RoleBinding>(), "editors", body).await;
    let client = tenant.world.client_as(Some(&user)).await;
    let began = std::time::Instant::now();
    // Our part is aggregated into `edit` by a controller, and nothing tells when the authorizer has seen it.
    while !may(&client, &tenant.name, "create", "spacesecretsyncs").await {
        assert!(began.elapsed() < PATIENCE, "`edit` does not let a tenant make syncs");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Pods need it.
    until(tenant.api::<ServiceAccount>(), "default", "it is there", |_| true).await;
    client
}

/// Whether it may do this with one of our kinds.
pub async fn may(client: &Client, namespace: &str, verb: &str, resource: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "group": "spacesync.dev", "resource": resource, "subresource": subresource, "verb": verb, "namespace": namespace,
    });
    let review = serde_json::from_value(json!({"spec": {"resourceAttributes": attributes}})).unwrap();
    let review: SelfSubjectAccessReview =
        Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    review.status.unwrap().allowed
}

/// Creates an object as whoever has the client; gives the status code of a refusal.
pub async fn create(client: &Client, namespace: &str, object: Json) -> Result<(), u16> {
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource_of(&object));
    let object = serde_json::from_value(object).expect("an object");
    code(api.create(&PostParams::default(), &object).await.map(drop))
}

/// The status code of a refusal. Anything else that goes wrong is none.
pub fn code<T>(answer: kube::Result<T>) -> Result<T, u16> {
    answer.map_err(|error| match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) => status.code,
        other => panic!("neither accepted nor refused: {other}"),
    })
}
