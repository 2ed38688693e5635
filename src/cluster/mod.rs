//! How we talk to the API server: one client with a deadline on every call and a lease before every write, caches of
//! what is watched, and queues of what is to be looked at.

pub mod cache;
mod connection;
#[cfg(test)]
mod guard_tests;
pub mod identity;
mod items;
pub mod parts;
pub mod queue;
pub mod secrets;

use std::{fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Config, Resource,
    api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions},
    core::PartialObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use thiserror::Error;
use tokio::sync::Notify;

use crate::resources::{names::MANAGER, owner};

/// The longest that one call may take, retries of the client included.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a call to the API server failed. Says nothing of what was sent: a body may hold values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// 404.
    #[error("not found")]
    NotFound,
    /// 409: the object moved since it was read, or one of that name exists.
    #[error("the object was changed by somebody else")]
    Conflict(String),
    /// 403, also from a quota; and whatever an admission policy or webhook denies.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// 422.
    #[error("invalid: {0}")]
    Invalid(String),
    /// 413 or an etcd request that is too large.
    #[error("too large for the API server")]
    TooLarge,
    /// No answer within the deadline.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// This replica does not hold the lease, so it does not write.
    #[error("this replica is not the leader")]
    NotLeader,
    /// The answer is not what the API promises. Where, never what.
    #[error("the API server's answer cannot be read ({0})")]
    Malformed(String),
    /// Anything else, by status code (0: no answer at all).
    #[error("the API server cannot be reached or failed (status {0})")]
    Other(u16),
}

impl Error {
    /// Reads kube's error. `words` says whether the server's own words may be kept: not where a body held values.
    fn from_kube(error: &kube::Error, words: bool) -> Self {
        let said = |status: &kube::core::Status| if words { status.message.clone() } else { status.reason.clone() };
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::NotFound,
                // Quotas and policies say what to do next, and quote names only.
                code if code == 403 || is_denial(code, &status.message) => Self::Forbidden(status.message.clone()),
                409 => Self::Conflict(said(status)),
                422 => Self::Invalid(said(status)),
                413 => Self::TooLarge,
                code => Self::Other(code),
            },
            error if is_not_leader(error) => Self::NotLeader,
            kube::Error::SerdeError(e) => Self::Malformed(format!("line {} column {}", e.line(), e.column())),
            _ => Self::Other(0),
        }
    }
}

/// The result of a call to the API server.
pub type Result<T> = std::result::Result<T, Error>;

/// A write was stopped because the lease is not ours.
#[derive(Debug, Error)]
#[error("not the leader")]
struct NotLeader;

/// Whether that is at the bottom of it: what a connection did not take is wrapped in errors of that.
fn is_not_leader(error: &kube::Error) -> bool {
    std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .any(<dyn std::error::Error>::is::<NotLeader>)
}

/// Says whether this replica may write right now.
pub type MayWrite = Arc<dyn Fn() -> bool + Send + Sync>;

/// The API server, for one replica.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Rings when something was forbidden.
    refused: Arc<Notify>,
}

impl Cluster {
    /// A client that refuses every write while `may_write` says no. In the client itself, so that no code path can
    /// forget to ask, and checked when the request leaves, so that a process that slept through its lease writes nothing.
    pub fn new(config: &Config, may_write: MayWrite) -> anyhow::Result<Self> {
        Ok(Self { client: connection::client(config, may_write)?, refused: Arc::default() })
    }

    /// The same, with this bell for what is forbidden.
    #[must_use]
    pub fn with_bell(self, refused: Arc<Notify>) -> Self {
        Self { refused, ..self }
    }

    /// The client itself, for watches and Events.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One object, or `None`.
    pub async fn get<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Option<K>> {
        match self.call(url::<K>(namespace).get(name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The metadata of one object, or `None`.
    pub async fn get_meta<K: Kind>(&self, namespace: Option<&str>, name: &str) -> Result<Option<PartialObjectMeta<K>>> {
        match self.call(url::<K>(namespace).get_metadata(name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an object. [`Error::Conflict`] where one of that name exists.
    pub async fn create<K: Kind + Serialize>(&self, object: &K) -> Result<K> {
        let body = serde_json::to_vec(object).expect("an object is always JSON");
        self.call(url::<K>(object.meta().namespace.as_deref()).create(&PostParams::default(), body)).await
    }

    /// Writes an object over the one that was read, by its resourceVersion.
    pub async fn replace<K: Kind + Serialize>(&self, object: &K) -> Result<K> {
        let body = serde_json::to_vec(object).expect("an object is always JSON");
        let name = object.meta().name.as_deref().unwrap_or_default();
        self.call(url::<K>(object.meta().namespace.as_deref()).replace(name, &PostParams::default(), body)).await
    }

    /// Server-side apply with one field manager a concern: `spacesync-<concern>`.
    pub async fn apply<K: Kind>(&self, namespace: Option<&str>, name: &str, concern: &str, body: &Json) -> Result<K> {
        let params = PatchParams { field_manager: Some(format!("{MANAGER}-{concern}")), ..PatchParams::default() };
        self.call(url::<K>(namespace).patch(name, &params, &Patch::Apply(body))).await
    }

    /// The same for an object that is ours alone: what somebody else set in our fields is overwritten.
    pub async fn apply_ours<K: Kind>(
        &self,
        namespace: Option<&str>,
        name: &str,
        concern: &str,
        body: &Json,
    ) -> Result<K> {
        let field_manager = Some(format!("{MANAGER}-{concern}"));
        let params = PatchParams { field_manager, force: true, ..PatchParams::default() };
        self.call(url::<K>(namespace).patch(name, &params, &Patch::Apply(body))).await
    }

    /// Server-side apply of one field of an object's spec, with a manager of its own: `spacesync-sidebar-<field>`. Without
    /// a value the manager gives the field up. The UID keeps it from reaching, or making, another object of that name.
    pub async fn apply_field<K: Kind>(
        &self,
        object: &K,
        field: &str,
        value: Option<&Json>,
        dry_run: bool,
    ) -> Result<K> {
        let meta = object.meta();
        let name = meta.name.as_deref().unwrap_or_default();
        let mut body = serde_json::json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": name, "uid": meta.uid},
        });
        if let Some(value) = value {
            body["spec"][field] = value.clone();
        }
        let field_manager = Some(format!("{MANAGER}-{}", owner::concern(field)));
        let params = PatchParams { field_manager, dry_run, ..PatchParams::default() };
        let url = url::<K>(meta.namespace.as_deref());
        match self.call(url.patch(name, &params, &Patch::Apply(&body))).await {
            // The last field of a spec: giving it up would take the spec with it, which is required.
            Err(Error::Invalid(_)) if value.is_none() => {
                let version = &meta.resource_version;
                let metadata = serde_json::json!({"uid": meta.uid, "resourceVersion": version});
                let body = serde_json::json!({"metadata": metadata, "spec": {field: null}});
                self.call(url.patch(name, &params, &Patch::Merge(&body))).await
            }
            answer => answer,
        }
    }

    /// A JSON patch (RFC 6902), whose tests say what it is about.
    pub async fn patch_json<K: Kind>(&self, namespace: Option<&str>, name: &str, body: &Json) -> Result<K> {
        let body = serde_json::to_vec(body).expect("a patch is always JSON");
        let request = url::<K>(namespace).patch(name, &PatchParams::default(), &Patch::Merge(Json::Null));
        let request = request.map(|request| {
            let (mut parts, _) = request.into_parts();
            let json_patch = http::HeaderValue::from_static("application/json-patch+json");
            parts.headers.insert(http::header::CONTENT_TYPE, json_patch);
            http::Request::from_parts(parts, body)
        });
        self.call(request).await
    }

    /// Sets an annotation of exactly the object that was seen, as it was seen: [`Error::Conflict`] when it moved since.
    pub async fn annotate<K: Kind>(&self, object: &K, annotation: &str, value: &str) -> Result<K> {
        let meta = object.meta();
        let body = serde_json::json!({"metadata": {
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "annotations": {annotation: value},
        }});
        let name = meta.name.as_deref().unwrap_or_default();
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.call(url::<K>(meta.namespace.as_deref()).patch(name, &params, &Patch::Merge(body))).await
    }

    /// Writes what differs between two statuses of one object; nothing when nothing does. The UID keeps it from
    /// reaching another object of the same name.
    pub async fn patch_status<K: Kind, S: Serialize>(&self, object: &K, old: Option<&S>, new: &S) -> Result<Option<K>> {
        let json = |status| serde_json::to_value(status).expect("a status is always JSON");
        let Some(difference) = difference(&old.map_or(Json::Object(serde_json::Map::default()), json), &json(new))
        else {
            return Ok(None);
        };
        let body = serde_json::json!({"metadata": {"uid": object.meta().uid}, "status": difference});
        let name = object.meta().name.as_deref().unwrap_or_default();
        let url = url::<K>(object.meta().namespace.as_deref());
        self.call(url.patch_subresource("status", name, &PatchParams::default(), &Patch::Merge(body))).await.map(Some)
    }

    /// A strategic merge patch of `pods/status`, which merges conditions by type and may set annotations.
    pub async fn patch_pod_status(&self, namespace: &str, name: &str, body: &Json) -> Result<Pod> {
        let url = url::<Pod>(Some(namespace));
        self.call(url.patch_subresource("status", name, &PatchParams::default(), &Patch::Strategic(body))).await
    }

    /// Deletes exactly the object with this UID. One that has gone already is fine.
    pub async fn delete<K: Kind>(&self, namespace: Option<&str>, name: &str, uid: &str) -> Result<()> {
        self.delete_if::<K>(namespace, name, Preconditions { uid: Some(uid.to_owned()), resource_version: None }).await
    }

    /// Deletes exactly the object with this UID as it was seen: [`Error::Conflict`] when it moved since.
    pub async fn delete_seen<K: Kind>(&self, namespace: &str, name: &str, uid: &str, version: &str) -> Result<()> {
        let seen = Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        self.delete_if::<K>(Some(namespace), name, seen).await
    }

    async fn delete_if<K: Kind>(&self, namespace: Option<&str>, name: &str, only: Preconditions) -> Result<()> {
        let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        // The answer is the object or a Status; neither matters.
        match self.call::<serde::de::IgnoredAny>(url::<K>(namespace).delete(name, &params)).await {
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One request, with a deadline.
    async fn call<T: DeserializeOwned>(
        &self,
        request: std::result::Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T> {
        let request = request.map_err(|e| Error::Invalid(e.to_string()))?;
        match tokio::time::timeout(DEADLINE, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.hears(Error::from_kube(&error, true))),
            Err(_) => Err(Error::TimedOut),
        }
    }

    /// Rings where an answer says that something is forbidden.
    fn hears(&self, error: Error) -> Error {
        if matches!(error, Error::Forbidden(_)) {
            self.refused.notify_one();
        }
        error
    }
}

/// A kind of object that we read and write.
pub trait Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned {}
impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned> Kind for K {}

fn url<K: Kind>(namespace: Option<&str>) -> kube::core::Request {
    kube::core::Request::new(K::url_path(&(), namespace))
}

/// Whether an admission policy or webhook said no: a policy that names no reason says 422, a webhook without a code 400.
fn is_denial(code: u16, message: &str) -> bool {
    matches!(code, 400 | 409 | 422)
        && ["denied request", "denied the request"].iter().any(|said| message.contains(said))
}

/// The JSON merge patch (RFC 7386) that turns `old` into `new`; `None` when they are equal.
fn difference(old: &Json, new: &Json) -> Option<Json> {
    if old == new {
        return None;
    }
    let (Json::Object(before), Json::Object(after)) = (old, new) else {
        return Some(new.clone());
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Json::Null));
    let moved = after.iter().filter_map(|(key, value)| match before.get(key) {
        Some(earlier) => difference(earlier, value).map(|d| (key.clone(), d)),
        None => Some((key.clone(), value.clone())),
    });
    Some(Json::Object(gone.chain(moved).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_statuses_make_no_patch() {
        assert_eq!(difference(&json!({"a": {"b": [1]}}), &json!({"a": {"b": [1]}})), None);
    }

    #[test]
    fn a_patch_holds_only_what_differs_and_removes_what_went() {
        let old = json!({"same": 1, "gone": 2, "deep": {"same": 1, "moved": 1}, "list": [1, 2]});
        let new = json!({"same": 1, "deep": {"same": 1, "moved": 2}, "list": [1], "new": {}});
        let expected = json!({"gone": null, "deep": {"moved": 2}, "list": [1], "new": {}});
        assert_eq!(difference(&old, &new), Some(expected));
    }

    #[test]
    fn what_admission_denies_is_forbidden_whatever_code_it_chose() {
        let of = |code, message: &str| {
            let status = kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
            Error::from_kube(&kube::Error::Api(Box::new(status)), true)
        };
        let policy =
            "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
        let webhook = "admission webhook \"w.example.org\" denied the request: no";
        for (code, message) in [(422, policy), (400, webhook), (422, webhook), (403, webhook)] {
            assert_eq!(of(code, message), Error::Forbidden(message.to_owned()), "{code}");
        }
        assert_eq!(of(422, "spec: no"), Error::Invalid("spec: no".to_owned()));
        assert_eq!(of(400, "no"), Error::Other(400));
    }

    #[test]
    fn the_text_of_an_error_holds_no_word_of_a_body() {
        let parse = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        let text = Error::from_kube(&kube::Error::SerdeError(parse), true).to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}
