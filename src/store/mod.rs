//! Where secrets are kept: heads of many, read one.
//!
//! A *head* tells whether an entry moved without telling a value. A value is read only when the head moved.

pub mod book;
pub mod embedded;
pub mod openbao;
pub mod reason;

use std::{collections::HashMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use reason::verdict;

use crate::{resources::Timestamp, secret::Snapshot};

/// What a store says of an entry without its values. *Moved* means that any field differs, also backwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The entry's counter, where the store keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When the entry was first made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// When the current version was deleted (and can be undeleted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Whether the current version was destroyed (and cannot come back).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroyed: bool,
    /// The object's UID, in the embedded store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The object's resourceVersion, in the embedded store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

impl Head {
    /// Whether there is a current version to read.
    pub fn is_gone(&self) -> bool {
        self.deleted.is_some() || self.destroyed
    }
}

/// Why a store did not answer with what was asked. No variant carries a value, and no text of a parser that quotes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
pub enum StoreError {
    /// No connection: refused, reset, no route.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Its host name leads nowhere.
    #[error("has a host name that cannot be resolved")]
    UnknownHost,
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The credential is missing, wrong or expired.
    #[error("the credential was refused: {0}")]
    Unauthorized(String),
    /// The API server gave no service account token to log in with.
    #[error("gets no service account token: {0}")]
    NoToken(String),
    /// The credential is good, but may not do this.
    #[error("permission denied: {0}")]
    Forbidden(String),
    /// The store is sealed.
    #[error("is sealed")]
    Sealed,
    /// There is no such entry (or its mount).
    #[error("has no entry {0}")]
    NotFound(String),
    /// The entry's current version is deleted or destroyed.
    #[error("entry {0} is deleted")]
    Deleted(String),
    /// Asked too often. The store waits by itself for as long as it was told to.
    #[error("is rate limited")]
    RateLimited,
    /// The answer is not what the API promises. Says where (line and column), never what.
    #[error("gave an answer that cannot be read: {0}")]
    Malformed(String),
    /// The answer ended early.
    #[error("gave an answer that ended early")]
    Truncated,
    /// The answer is larger than we take.
    #[error("gave an answer over {0} bytes")]
    TooLarge(usize),
    /// No answer within the deadline.
    #[error("did not answer in time")]
    TimedOut,
    /// Another error of the server, by its status code.
    #[error("answered with status {0}")]
    Server(u16),
    /// The `SecretManager` cannot be used as it is configured.
    #[error("{0}")]
    Config(String),
}

impl StoreError {
    /// Whether the store as a whole gives no answer to anybody right now.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::UnknownHost
            | Self::Tls(_)
            | Self::Unauthorized(_)
            | Self::NoToken(_)
            | Self::Sealed
            | Self::TimedOut => true,
            Self::Server(code) => *code >= 500,
            _ => false,
        }
    }

    /// Whether it may pass by itself, so that heads are worth a look soon: nobody has to write anything first.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::UnknownHost
            | Self::Tls(_)
            | Self::Unauthorized(_)
            | Self::NoToken(_)
            | Self::Sealed
            | Self::RateLimited
            | Self::Malformed(_)
            | Self::Truncated
            | Self::TooLarge(_)
            | Self::TimedOut
            | Self::Server(_) => true,
            Self::Forbidden(_) | Self::NotFound(_) | Self::Deleted(_) | Self::Config(_) => false,
        }
    }
}

/// What is known of many entries after one look: each with its head, or why not.
pub type Heads = HashMap<String, Result<Head, StoreError>>;

/// A store, as a `SecretManager` describes it. Entries are named by the space's path.
#[derive(Clone, Debug)]
pub enum Store {
    /// The Secrets of the operator's own namespace.
    Kubernetes(std::sync::Arc<embedded::Embedded>),
    /// OpenBao or HashiCorp Vault, KV v2.
    OpenBao(std::sync::Arc<openbao::OpenBao>),
}

impl Store {
    /// Whether one request tells the heads of many.
    pub fn is_bulk(&self) -> bool {
        match self {
            Self::Kubernetes(_) => false,
            Self::OpenBao(store) => store.bulk(),
        }
    }

    /// Sees to a login that is to be renewed before somebody needs it. Says how long until the next is.
    pub async fn keep(&self) -> Option<Duration> {
        match self {
            Self::Kubernetes(_) => None,
            Self::OpenBao(store) => store.keep().await,
        }
    }

    /// How long the store wants to be left alone yet.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Kubernetes(_) => None,
            Self::OpenBao(store) => store.pause(),
        }
    }

    /// The head of one entry.
    pub async fn head(&self, path: &str) -> Result<Head, StoreError> {
        match self {
            Self::Kubernetes(store) => store.head(path),
            Self::OpenBao(store) => store.head(path).await,
        }
    }

    /// The heads of many entries, in as few requests as the store allows. An error is one of the store as a whole.
    pub async fn heads(&self, paths: &[String]) -> Result<Heads, StoreError> {
        match self {
            Self::Kubernetes(store) => Ok(paths.iter().map(|path| (path.clone(), store.head(path))).collect()),
            Self::OpenBao(store) => store.heads(paths).await,
        }
    }

    /// The values of one entry, for a space: a store without a counter counts by space.
    pub async fn read(&self, space: &str, path: &str) -> Result<Snapshot, StoreError> {
        match self {
            Self::Kubernetes(store) => store.read(space, path).await,
            Self::OpenBao(store) => store.read(path).await,
        }
    }
}
