//! OpenBao or HashiCorp Vault, KV version 2: one entry per space.
//!
//! ```text
//! head   GET  metadata/<entry>                      one entry
//! heads  LIST detailed-metadata/<folder>/           2,500 entries, OpenBao only; else one head each
//! read   GET  metadata/<entry> and data/<entry>     the only request that brings values
//! ```
//!
//! Where a policy forbids to list, each head is a request; where it forbids the metadata too, a head is taken from the
//! answer with the values.

mod answer;
mod bulk;
mod client;
mod failure;
mod hidden;
mod lease;
mod login;
mod pace;
mod place;
mod settings;
#[cfg(test)]
mod tests;
mod way;
mod wire;

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use jiff::Timestamp;

#[cfg(test)]
pub use self::bulk::PAGE;
pub use self::settings::{Credential, Limits, Observer, Settings, TokenSource};
use self::{
    answer::{Known, No, Values},
    bulk::Bulk,
    client::Client,
    hidden::Hidden,
    wire::Body,
};
use super::{Head, Snapshot, StoreError};

/// How often a read starts over when the entry moves under it.
const READS: usize = 3;

/// A client of one server.
pub struct OpenBao {
    client: Client,
    bulk: Bulk,
    hidden: Hidden,
    /// Whether the mount was seen to be KV version 2.
    is_kv2: AtomicBool,
    /// How many heads may be asked for at once: half of all, so that a read never waits behind a whole round of them.
    width: usize,
    asked: Asked,
}

/// How often a client has asked for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// For the head of one entry.
    pub heads: u64,
    /// For a page of heads.
    pub pages: u64,
    /// For the values of one entry.
    pub reads: u64,
}

#[derive(Default)]
struct Asked {
    heads: AtomicU64,
    pages: AtomicU64,
    reads: AtomicU64,
}

impl OpenBao {
    /// A client; nothing is asked yet.
    pub fn new(settings: &Settings) -> Result<Self, StoreError> {
        Ok(Self {
            client: Client::new(settings)?,
            bulk: Bulk::default(),
            hidden: Hidden::default(),
            is_kv2: AtomicBool::new(false),
            width: (settings.limits.concurrency as usize / 2).max(1),
            asked: Asked::default(),
        })
    }

    /// The head of one entry.
    pub async fn head(&self, path: &str) -> Result<Head, StoreError> {
        Ok(self.known(path).await?.head)
    }

    /// The values of one entry, with the head that describes exactly them.
    pub async fn read(&self, path: &str) -> Result<Snapshot, StoreError> {
        if self.hidden.is_at_rest(path) {
            return self.values(path).await.map(snapshot_of_values);
        }
        let (known, values) = futures::join!(self.metadata(path), self.values(path));
        // The values' error first, whichever came first: what a condition says must not depend on a race.
        let mut values = values?;
        if matches!(known, Err(StoreError::Forbidden(_))) {
            self.hidden.note(path);
            return Ok(snapshot_of_values(values));
        }
        let mut known = known?;
        for _ in 0..READS {
            if known.describes(&values) {
                return Ok(snapshot(known, values));
            }
            known = self.metadata(path).await?;
            if !known.describes(&values) {
                values = self.values(path).await?;
            }
        }
        Err(StoreError::Malformed("its head and its values are of different versions".to_owned()))
    }

    /// Sees to a token that is to be renewed before somebody needs it. Says how long until the next is.
    pub async fn keep(&self) -> Option<Duration> {
        self.client.login.keep(&self.client.wire).await
    }

    /// How long the server wants to be left alone yet: what is asked before that is answered without it.
    pub fn pause(&self) -> Option<Duration> {
        self.client.wire.pause()
    }

    /// Whether the server is known or thought to tell heads in bulk.
    pub fn bulk(&self) -> bool {
        self.bulk.may_be_asked()
    }

    /// How often this client has asked for what.
    pub fn requests(&self) -> Requests {
        let Asked { heads, pages, reads } = &self.asked;
        Requests { heads: heads.load(Relaxed), pages: pages.load(Relaxed), reads: reads.load(Relaxed) }
    }

    async fn known(&self, path: &str) -> Result<Known, StoreError> {
        if self.hidden.is_at_rest(path) {
            return self.known_by_values(path).await;
        }
        match self.metadata(path).await {
            Err(StoreError::Forbidden(_)) => {
                let known = self.known_by_values(path).await?;
                self.hidden.note(path);
                Ok(known)
            }
            known => {
                if known.is_ok() {
                    self.hidden.forget(path);
                }
                known
            }
        }
    }

    async fn metadata(&self, path: &str) -> Result<Known, StoreError> {
        self.asked.heads.fetch_add(1, Relaxed);
        let body = self.entry("metadata", path).await?;
        answer::known(&body, Timestamp::now())?.ok_or_else(|| self.not_found(path))
    }

    /// Where a policy allows to read values only, they have to come to tell the head. They are skipped and zeroed.
    async fn known_by_values(&self, path: &str) -> Result<Known, StoreError> {
        self.asked.reads.fetch_add(1, Relaxed);
        match self.ask_entry("data", path).await? {
            Ok(body) => answer::known_by_values(&body, Timestamp::now()),
            Err(No::Deleted(Some(known))) => Ok(*known),
            Err(no) => Err(self.error(no, path).await),
        }
    }

    async fn values(&self, path: &str) -> Result<Values, StoreError> {
        self.asked.reads.fetch_add(1, Relaxed);
        answer::values(&self.entry("data", path).await?)
    }

    async fn entry(&self, kind: &str, path: &str) -> Result<Body, StoreError> {
        match self.ask_entry(kind, path).await? {
            Ok(body) => Ok(body),
            Err(no) => Err(self.error(no, path).await),
        }
    }

    async fn ask_entry(&self, kind: &str, path: &str) -> Result<Result<Body, No>, StoreError> {
        let place = &self.client.place;
        let doing = format!("read {}/{kind}/{}", place.mount(), place.full(path));
        Ok(self.client.ask(&place.entry(kind, path)?, &doing).await)
    }

    async fn error(&self, no: No, path: &str) -> StoreError {
        match no {
            No::Missing if self.is_other_engine().await => self.no_engine(),
            No::Missing => self.not_found(path),
            No::Deleted(_) => StoreError::Deleted(self.client.place.name(path)),
            No::WrongMount | No::Unsupported => self.no_engine(),
            No::MissingNamespace => StoreError::Config(answer::NO_NAMESPACE.to_owned()),
            No::Denied => StoreError::Server(403),
            No::Unavailable => StoreError::Server(503),
            No::Error(error) => error,
        }
    }

    /// Where entries are missing because the mount is a wrong one, nobody may take them for gone.
    async fn is_other_engine(&self) -> bool {
        if self.is_kv2.load(Relaxed) {
            return false;
        }
        let other = self.client.is_other_engine().await;
        self.is_kv2.store(!other, Relaxed);
        other
    }

    fn not_found(&self, path: &str) -> StoreError {
        StoreError::NotFound(self.client.place.name(path))
    }

    fn no_engine(&self) -> StoreError {
        StoreError::Config(format!("no KV version 2 engine is mounted at {}", self.client.place.mount()))
    }
}

impl fmt::Debug for OpenBao {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBao").field("place", &self.client.place).field("bulk", &self.bulk()).finish_non_exhaustive()
    }
}

fn snapshot_of_values(values: Values) -> Snapshot {
    snapshot(values.known(), values)
}

fn snapshot(known: Known, values: Values) -> Snapshot {
    Snapshot {
        head: known.head,
        version: values.version,
        created: known.created,
        updated: values.made,
        issued: Timestamp::now(),
        entries: values.entries,
        refused: values.refused,
    }
}
