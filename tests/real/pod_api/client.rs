//! A runtime, as far as the pods' API is concerned.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Pod as CorePod, ServiceAccount},
};
use kube::{Api, api::PostParams};
use reqwest::{Certificate, Client, Method, header::HeaderMap};
use serde_json::{Value as Json, json};

use crate::{
    tenant::{Tenant, until},
    world::Operator,
};

/// The host that pods are told.
pub const HOST: &str = "spacesync.spacesync-system.svc";
const AUDIENCE: &str = "spacesync.dev";

/// What the API answered.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Json,
}

impl Said {
    /// The kind of problem, in one word.
    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }

    /// Status and reason together.
    pub fn problem(&self) -> (u16, &str) {
        (self.status, self.reason())
    }

    /// A header, as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client that trusts exactly this bundle, and finds the API at this address.
pub fn https(bundle: &str, at: SocketAddr) -> Client {
    https_from([127, 0, 0, 1].into(), bundle, at)
}

fn https_from(source: IpAddr, bundle: &str, at: SocketAddr) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = Certificate::from_pem_bundle(bundle.as_bytes()).expect("a bundle");
    Client::builder()
        .tls_certs_only(certificates)
        .resolve(HOST, at)
        .https_only(true)
        .local_address(source)
        .timeout(Duration::from_mins(1))
        // The server closes what was idle for 15 s, and might do so just when it is used again.
        .pool_idle_timeout(Duration::from_secs(10))
        .build()
        .expect("a client")
}

/// A pod with its token, at one replica.
pub struct Pod {
    client: Client,
    base: String,
    /// Its token.
    pub token: String,
}

impl Pod {
    /// With what stands in the pod's own volume: the bundle of its namespace's `ConfigMap`, and a token bound to it.
    pub async fn new(tenant: &Tenant<'_>, name: &str, operator: &Operator) -> Self {
        let token = tenant.token(name).await;
        Self::with(&tenant.bundle().await, token, operator)
    }

    /// With a bundle and a token from elsewhere.
    pub fn with(bundle: &str, token: String, operator: &Operator) -> Self {
        Self::from("127.0.0.1", bundle, token, operator)
    }

    /// The same from another address of this machine.
    pub fn from(source: &str, bundle: &str, token: String, operator: &Operator) -> Self {
        let base = format!("https://{HOST}:{}", operator.api.port());
        Self { client: https_from(source.parse().expect("an address"), bundle, operator.api), base, token }
    }

    /// The same pod at another replica.
    pub async fn at(&self, tenant: &Tenant<'_>, operator: &Operator) -> Self {
        Self::with(&tenant.bundle().await, self.token.clone(), operator)
    }

    /// A request with everything that one may get wrong.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Said {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.bytes().await.expect("a body");
        Said { status, headers, body: serde_json::from_slice(&text).unwrap_or_default() }
    }

    async fn json(&self, method: Method, path: &str, body: &Json) -> Said {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.send(method, path, &headers, body.to_string().into_bytes()).await
    }

    /// `GET /v1/status`, waiting for its turn where it asked too often.
    pub async fn status(&self) -> Said {
        loop {
            let said = self.status_if_none_match("").await;
            if said.status != 429 {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    }

    /// The same, once, with what is known already.
    pub async fn status_if_none_match(&self, etag: &str) -> Said {
        let bearer = format!("Bearer {}", self.token);
        let known = ("if-none-match", etag);
        let headers = [("authorization", bearer.as_str()), known];
        self.send(Method::GET, "/v1/status", &headers[..if etag.is_empty() { 1 } else { 2 }], Vec::new()).await
    }

    /// `POST /v1/sync`.
    pub async fn sync(&self, body: Json) -> Said {
        self.json(Method::POST, "/v1/sync", &body).await
    }

    /// `PATCH /v1/settings`.
    pub async fn settings(&self, body: Json) -> Said {
        self.json(Method::PATCH, "/v1/settings", &body).await
    }

    /// `POST /v1/acks` of a revision that was loaded.
    pub async fn ack(&self, revision: &str) -> Said {
        self.acks(json!({"revision": revision, "runtime": runtime()})).await
    }

    /// `POST /v1/acks`.
    pub async fn acks(&self, body: Json) -> Said {
        self.json(Method::POST, "/v1/acks", &body).await
    }
}

/// What a Node-RED says of itself.
pub fn runtime() -> Json {
    json!({"name": "node-red", "version": "5.0.7", "plugin": "0.1.0", "protection": "context-store"})
}

impl Tenant<'_> {
    /// A token as the kubelet requests it for the projected volume of this pod.
    pub async fn token(&self, pod: &str) -> String {
        self.token_for(Some(pod), AUDIENCE).await
    }

    /// A token of the default service account.
    pub async fn token_for(&self, pod: Option<&str>, audience: &str) -> String {
        until(self.api::<ServiceAccount>(), "default", "it is there", |_| true).await;
        let bound_object_ref = match pod {
            None => None,
            Some(pod) => Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(pod.to_owned()),
                uid: self.api::<CorePod>().get(pod).await.expect("the pod").metadata.uid,
            }),
        };
        let spec =
            TokenRequestSpec { audiences: vec![audience.to_owned()], bound_object_ref, expiration_seconds: Some(3600) };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let accounts: Api<ServiceAccount> = self.api();
        let answer = accounts.create_token_request("default", &PostParams::default(), &request).await;
        answer.expect("a token").status.expect("a token").token
    }

    /// What pods of the namespace are to trust.
    pub async fn bundle(&self) -> String {
        let told = until(self.api::<ConfigMap>(), "spacesync-api", "it is there", |_| true).await;
        told.data.expect("data")["ca.crt"].clone()
    }
}
