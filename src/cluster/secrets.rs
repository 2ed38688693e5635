//! The door for values: the only code that sends Secrets to the API server or reads their data.
//!
//! Bodies are built and read here, in buffers that are zeroed, instead of through kube's typed API, whose errors quote
//! what they could not read and whose buffers stay in memory.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{Method, Request};
use http_body_util::BodyExt;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    client::Body,
    core::{ObjectMeta, PartialObjectMeta},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Cluster, DEADLINE, Error, Result, cache, is_denial};
use crate::{
    resources::names::{ADOPT, CONTENT, DELETION_POLICY, MANAGER, REVISION, SPACE, SYNC},
    secret::{Content, Value},
};

/// A Secret by its metadata, as far as it concerns us. What the caches hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretMeta {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
    /// The sync that it is labelled with. This is what makes it ours.
    pub sync: Option<String>,
    /// The space that its content is from.
    pub space: Option<String>,
    /// The revision that it is annotated with.
    pub revision: Option<String>,
    /// Since when its content is the same.
    pub content: Option<Content>,
    /// The sync that its owner lets take it over.
    pub adopt: Option<String>,
    /// Whether it stays after its sync.
    pub retain: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl SecretMeta {
    fn from_meta(meta: &ObjectMeta) -> Self {
        let label = |name| meta.labels.as_ref().and_then(|l| l.get(name)).cloned();
        let annotation = |name| meta.annotations.as_ref().and_then(|a| a.get(name)).cloned();
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|Time(at)| *at),
            sync: label(SYNC),
            space: label(SPACE),
            revision: annotation(REVISION),
            content: annotation(CONTENT).and_then(|content| content.parse().ok()),
            adopt: annotation(ADOPT),
            retain: annotation(DELETION_POLICY).is_some_and(|policy| policy == "Retain"),
            terminating: meta.deletion_timestamp.is_some(),
        }
    }

    /// Since when its content is the same, as far as it can be told.
    pub fn content(&self) -> Option<Content> {
        let revision = self.revision.as_deref()?;
        let told = self.content.clone().filter(|content| content.is_of(revision));
        Some(told.unwrap_or_else(|| Content::untold(revision)))
    }

    /// The projection for the cache of managed Secrets.
    #[allow(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "the form of a projection")]
    pub fn project(object: PartialObjectMeta<Secret>) -> Option<Self> {
        Some(Self::from_meta(&object.metadata))
    }
}

impl cache::Item for SecretMeta {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn resource_version(&self) -> u64 {
        cache::version_number(Some(&self.resource_version))
    }
}

/// A Secret with its values.
#[derive(Debug)]
pub struct FullSecret {
    /// What the caches know of it.
    pub meta: SecretMeta,
    /// All of its metadata.
    pub object_meta: ObjectMeta,
    /// `type`.
    pub type_: String,
    /// `immutable`.
    pub immutable: bool,
    /// The values by key.
    pub data: BTreeMap<String, Value>,
}

/// The names in a map of an object's metadata, such as `f:labels`, that stand there by our own writes.
pub fn written_by_us<'a>(meta: &'a ObjectMeta, field: &'a str) -> impl Iterator<Item = String> + 'a {
    let entries = meta.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| entry.manager.as_deref() == Some(MANAGER));
    let maps = ours.filter_map(move |entry| entry.fields_v1.as_ref()?.0.get("f:metadata")?.get(field)?.as_object());
    maps.flat_map(|map| map.keys().filter_map(|key| key.strip_prefix("f:").map(ToOwned::to_owned)))
}

/// A Secret to write, whole.
#[derive(Clone, Debug)]
pub struct NewSecret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The values by key.
    pub data: BTreeMap<String, Value>,
    /// `type`; one of a Secret that exists cannot be changed.
    pub type_: String,
    /// `immutable`; what is cannot be made mutable again.
    pub immutable: bool,
}

impl Cluster {
    /// One Secret with its values, or `None`.
    pub async fn get_secret(&self, namespace: &str, name: &str) -> Result<Option<FullSecret>> {
        match self.send_secret(Method::GET, &path(namespace, Some(name)), Vec::new()).await {
            Ok(body) => read(&body).map(Some),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a Secret. [`Error::Conflict`] where one of that name exists.
    pub async fn create_secret(&self, secret: &NewSecret) -> Result<SecretMeta> {
        let body = self.send_secret(Method::POST, &written(&secret.namespace, None), body(secret, None)).await?;
        read_meta(&body)
    }

    /// Asks whether a Secret could be created if none of its name were there, and writes nothing.
    pub async fn try_secret(&self, secret: &NewSecret) -> Result<()> {
        let path = format!("{}&dryRun=All", written(&secret.namespace, None));
        match self.send_secret(Method::POST, &path, body(secret, None)).await {
            // There is one. Or the request may not be tried: not every webhook takes part in a dry run.
            Ok(_) | Err(Error::Conflict(_) | Error::Other(400)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes a Secret over the one that was read: [`Error::Conflict`] when it moved since.
    pub async fn replace_secret(&self, secret: &NewSecret, over: &SecretMeta) -> Result<SecretMeta> {
        let path = written(&secret.namespace, Some(&secret.name));
        let body = self.send_secret(Method::PUT, &path, body(secret, Some(over))).await?;
        read_meta(&body)
    }

    pub(super) async fn send_secret(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, "application/json")
            .body(Body::from(body))
            .expect("names of the API server make a path");
        let call = async {
            let response = self.client().send(request).await.map_err(|e| Error::from_kube(&e, false))?;
            let status = response.status();
            let mut bytes = Zeroizing::new(Vec::new());
            let mut frames = response.into_body();
            while let Some(frame) = frames.frame().await {
                let frame = frame.map_err(|_| Error::Other(0))?;
                bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            }
            if status.is_success() { Ok(bytes) } else { Err(refused(status.as_u16(), &bytes)) }
        };
        tokio::time::timeout(DEADLINE, call).await.unwrap_or(Err(Error::TimedOut)).map_err(|error| self.hears(error))
    }
}

/// `/api/v1/namespaces/…/secrets[/…]`. Names come from the API server or passed its validation.
fn path(namespace: &str, name: Option<&str>) -> String {
    let name = name.map(|n| format!("/{n}")).unwrap_or_default();
    format!("/api/v1/namespaces/{namespace}/secrets{name}")
}

/// The same for a write: by name, so that what is ours can be told apart later.
fn written(namespace: &str, name: Option<&str>) -> String {
    format!("{}?fieldManager={MANAGER}", path(namespace, name))
}

/// What the server says of a refused write is kept only where it cannot quote the body.
fn refused(code: u16, body: &[u8]) -> Error {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Status {
        reason: String,
        message: String,
    }
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    match code {
        404 => Error::NotFound,
        code if code == 403 || is_denial(code, &status.message) => Error::Forbidden(without_quotes(&status.message)),
        409 => Error::Conflict(status.reason),
        413 => Error::TooLarge,
        422 => Error::Invalid(status.reason),
        _ if status.message.contains("etcdserver: request is too large") => Error::TooLarge,
        _ => Error::Other(code),
    }
}

/// What the API server itself says, such as whose policy refused. A policy's or webhook's own words may quote the values
/// that it refused, and this ends in a status.
fn without_quotes(message: &str) -> String {
    let end = ["denied request", "denied the request"].iter().filter_map(|said| Some(message.find(said)? + said.len()));
    end.min().map_or_else(|| message.to_owned(), |end| message[..end].to_owned())
}

#[derive(Deserialize)]
struct Answer {
    metadata: ObjectMeta,
    #[serde(default, rename = "type")]
    type_: String,
    #[serde(default)]
    immutable: bool,
    #[serde(default)]
    data: BTreeMap<String, Encoded>,
}

/// A value as it stands in JSON. Never leaves this file.
struct Encoded(Value);

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| serde::de::Error::custom("not base64"))?;
        Ok(Self(Value::new(bytes)))
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::Malformed(format!("line {} column {}", error.line(), error.column()))
}

fn read(body: &[u8]) -> Result<FullSecret> {
    let answer: Answer = serde_json::from_slice(body).map_err(|e| malformed(&e))?;
    Ok(FullSecret {
        meta: SecretMeta::from_meta(&answer.metadata),
        object_meta: answer.metadata,
        type_: answer.type_,
        immutable: answer.immutable,
        data: answer.data.into_iter().map(|(key, Encoded(value))| (key, value)).collect(),
    })
}

fn read_meta(body: &[u8]) -> Result<SecretMeta> {
    #[derive(Deserialize)]
    struct MetaOnly {
        metadata: ObjectMeta,
    }
    let answer: MetaOnly = serde_json::from_slice(body).map_err(|e| malformed(&e))?;
    Ok(SecretMeta::from_meta(&answer.metadata))
}

/// The body of a write, in a buffer of the size that it needs: growing would leave copies behind.
fn body(secret: &NewSecret, over: Option<&SecretMeta>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(rename = "apiVersion")]
        api_version: &'a str,
        kind: &'a str,
        metadata: ObjectMeta,
        #[serde(rename = "type")]
        type_: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        immutable: Option<bool>,
        data: BTreeMap<&'a str, Zeroizing<String>>,
    }
    let size: usize = secret.data.iter().map(|(key, value)| key.len() + value.len() * 4 / 3 + 16).sum();
    let mut buffer = Vec::with_capacity(size + 16 * 1024);
    let written = Written {
        api_version: "v1",
        kind: "Secret",
        metadata: ObjectMeta {
            namespace: Some(secret.namespace.clone()),
            name: Some(secret.name.clone()),
            labels: Some(secret.labels.clone()),
            annotations: Some(secret.annotations.clone()),
            uid: over.map(|o| o.uid.clone()),
            resource_version: over.map(|o| o.resource_version.clone()),
            ..ObjectMeta::default()
        },
        type_: &secret.type_,
        immutable: secret.immutable.then_some(true),
        data: secret
            .data
            .iter()
            .map(|(key, value)| (key.as_str(), Zeroizing::new(BASE64.encode(value.expose()))))
            .collect(),
    };
    serde_json::to_writer(&mut buffer, &written).expect("metadata and base64 are always JSON");
    buffer
}

/// A Secret or `ConfigMap` of the operator's own namespace by its metadata: an embedded entry, a credential, a CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnObject {
    /// Its namespace: the operator's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
    /// When somebody last wrote it, by its managed fields.
    pub updated: Option<jiff::Timestamp>,
}

impl OwnObject {
    /// What the cache would know of this object.
    pub fn from_meta(meta: &ObjectMeta) -> Self {
        let written = meta.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref()).map(|Time(at)| *at);
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|Time(at)| *at),
            updated: written.max(),
        }
    }

    /// The projection for the caches of the operator's own namespace.
    #[allow(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "the form of a projection")]
    pub fn project<K>(object: PartialObjectMeta<K>) -> Option<Self> {
        Some(Self::from_meta(&object.metadata))
    }
}

impl cache::Item for OwnObject {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn resource_version(&self) -> u64 {
        cache::version_number(Some(&self.resource_version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> NewSecret {
        NewSecret {
            namespace: "ns".into(),
            name: "secrets".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            data: BTreeMap::from([("A".into(), Value::from("hunter2")), ("E".into(), Value::from(""))]),
            type_: "Opaque".into(),
            immutable: false,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut written: serde_json::Value = serde_json::from_slice(&body(&secret(), None)).unwrap();
        written["metadata"]["uid"] = "u".into();
        let read = read(written.to_string().as_bytes()).unwrap();
        assert_eq!(read.data, secret().data);
        assert_eq!((read.meta.uid.as_str(), read.type_.as_str(), read.immutable), ("u", "Opaque", false));
        let immutable = NewSecret { immutable: true, ..secret() };
        assert!(super::read(&body(&immutable, None)).unwrap().immutable);
    }

    #[test]
    fn the_buffer_of_a_body_never_grows() {
        let mut secret = secret();
        secret.data.insert("BIG".into(), Value::new(vec![b'x'; 900_000]));
        let body = body(&secret, None);
        assert!(body.capacity() < body.len() + 40_000, "{} {}", body.capacity(), body.len());
    }

    #[test]
    fn neither_an_error_nor_a_debug_shows_a_value() {
        let full = read(&body(&secret(), None)).unwrap();
        assert!(!format!("{full:?} {:?}", secret()).contains("hunter2"));
        let broken = read(br#"{"metadata": {}, "data": {"A": "aHVudGVyMg", "B": 7}}"#).unwrap_err();
        let quoted = refused(422, br#"{"reason": "Invalid", "message": "Invalid value: hunter2"}"#);
        let policy = r#"{"message": "secrets \"s\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: hunter2"}"#;
        let webhook = r#"{"message": "admission webhook \"w\" denied the request: hunter2"}"#;
        let refusals = [policy, webhook].map(|body| refused(403, body.as_bytes()).to_string());
        assert!(refusals[0].contains("'p'") && refusals[1].contains("\"w\" denied the request"), "{refusals:?}");
        for text in [broken.to_string(), quoted.to_string()].iter().chain(&refusals) {
            assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
        }
    }
}
