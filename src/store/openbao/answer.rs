//! What the server's answers mean. Pure; no text of a parser gets out, since it may quote a value.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{
    secret::{Entry, Format, Refusal, Refused, Value},
    store::{Head, StoreError},
};

/// The part of every answer that holds what was asked for.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// What the server knows of an entry without its values.
#[derive(Deserialize)]
struct Metadata {
    current_version: u64,
    created_time: Timestamp,
    updated_time: Timestamp,
    #[serde(default)]
    versions: Option<HashMap<u64, Version>>,
}

#[derive(Deserialize)]
struct Version {
    created_time: Timestamp,
    #[serde(default, deserialize_with = "blank_is_none")]
    deletion_time: Option<Timestamp>,
    #[serde(default)]
    destroyed: bool,
}

/// A head, and when its current version was made, which tells two versions of one number apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) head: Head,
    pub(super) version: u64,
    pub(super) created: Timestamp,
    pub(super) made: Timestamp,
}

impl Known {
    /// The same as an answer with values tells it: of the current version only.
    pub(super) fn brief(self) -> Self {
        let Head { version, deleted, destroyed, .. } = self.head;
        let head = Head { version, updated: Some(self.made.into()), deleted, destroyed, ..Head::default() };
        Self { head, created: self.made, ..self }
    }

    /// Whether the values are those that this head is about.
    pub(super) fn describes(&self, read: &Values) -> bool {
        self.version == read.version && self.made == read.made && !self.head.is_gone()
    }
}

/// One page of a folder.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What is known of each entry (and folder, which has no head) of the page.
    pub(super) found: HashMap<String, Result<Option<Known>, StoreError>>,
    /// The last name of the page: the next one begins after it.
    pub(super) last: Option<String>,
    /// How many names the page has.
    pub(super) len: usize,
}

/// The values of one version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) version: u64,
    pub(super) made: Timestamp,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) refused: Vec<Refused>,
}

/// An answer to `metadata/<path>`; `None` when the entry has no version yet, only metadata.
pub(super) fn known(body: &[u8], now: Timestamp) -> Result<Option<Known>, StoreError> {
    parse::<Envelope<Metadata>>(body)?.data.known(now)
}

/// What an answer to `data/<path>` says of the version besides its values, which are skipped; also a 404 of one that is
/// deleted.
pub(super) fn known_by_values(body: &[u8], now: Timestamp) -> Result<Known, StoreError> {
    #[derive(Deserialize)]
    struct Read {
        metadata: About,
    }
    #[derive(Deserialize)]
    struct About {
        version: u64,
        #[serde(flatten)]
        made: Version,
    }
    let About { version, made } = parse::<Envelope<Read>>(body)?.data.metadata;
    Ok(made.known(version, made.created_time, made.created_time, now).brief())
}

/// An answer to a listing of `detailed-metadata/<folder>/`; only the `wanted` names are looked at closely.
pub(super) fn page(body: &[u8], wanted: impl Fn(&str) -> bool, now: Timestamp) -> Result<Page, StoreError> {
    #[derive(Deserialize)]
    struct Listing<'a> {
        #[serde(default)]
        keys: Vec<String>,
        #[serde(borrow, default)]
        key_info: HashMap<String, &'a RawValue>,
    }
    let mut listing = parse::<Envelope<Listing<'_>>>(body)?.data;
    listing.key_info.retain(|name, _| wanted(name));
    let found = listing.key_info.into_iter().map(|(name, raw)| {
        let known = parse::<Metadata>(raw.get().as_bytes()).and_then(|metadata| metadata.known(now));
        (name, known)
    });
    Ok(Page { found: found.collect(), len: listing.keys.len(), last: listing.keys.pop() })
}

/// An answer to `data/<path>`. A JSON string becomes text; everything else stays JSON, byte for byte.
pub(super) fn values(body: &[u8]) -> Result<Values, StoreError> {
    #[derive(Deserialize)]
    struct Read<'a> {
        #[serde(borrow)]
        data: BTreeMap<String, &'a RawValue>,
        metadata: About,
    }
    #[derive(Deserialize)]
    struct About {
        version: u64,
        created_time: Timestamp,
    }
    let Read { data, metadata } = parse::<Envelope<Read<'_>>>(body)?.data;
    let (mut entries, mut refused) = (BTreeMap::new(), Vec::new());
    for (key, raw) in data {
        match entry(raw.get()) {
            Some(entry) => drop(entries.insert(key, entry)),
            None => refused.push(Refused { key, why: Refusal::NotUtf8 }),
        }
    }
    Ok(Values { version: metadata.version, made: metadata.created_time, entries, refused })
}

fn entry(raw: &str) -> Option<Entry> {
    if !raw.starts_with('"') {
        return Some(Entry::json(raw));
    }
    // A JSON string can hold half of a surrogate pair, which no text can.
    let text: String = serde_json::from_str(raw).ok()?;
    Some(Entry { format: Format::Text, value: Value::new(text.into_bytes()) })
}

impl Values {
    /// The head as these values' own answer tells it.
    pub(super) fn known(&self) -> Known {
        let head = Head { version: Some(self.version), updated: Some(self.made.into()), ..Head::default() };
        Known { head, version: self.version, created: self.made, made: self.made }
    }
}

impl Metadata {
    fn known(&self, now: Timestamp) -> Result<Option<Known>, StoreError> {
        if self.current_version == 0 {
            return Ok(None);
        }
        let Some(current) = self.versions.as_ref().and_then(|all| all.get(&self.current_version)) else {
            return Err(StoreError::Malformed("the current version is not among the versions".into()));
        };
        Ok(Some(current.known(self.current_version, self.created_time, self.updated_time, now)))
    }
}

impl Version {
    fn known(&self, version: u64, created: Timestamp, updated: Timestamp, now: Timestamp) -> Known {
        let head = Head {
            version: Some(version),
            created: Some(created.into()),
            updated: Some(updated.into()),
            // A time to come is `delete_version_after`: until then the version can be read.
            deleted: self.deletion_time.filter(|at| *at <= now).map(Into::into),
            destroyed: self.destroyed,
            ..Head::default()
        };
        Known { head, version, created, made: self.created_time }
    }
}

/// Why there is no 200, as far as the answer itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum No {
    /// There is nothing at this path.
    Missing,
    /// There is, but its current version is deleted or destroyed; with what is known of that, where it is said.
    Deleted(Option<Box<Known>>),
    /// The mount has no engine that knows this path.
    WrongMount,
    /// The namespace does not exist.
    MissingNamespace,
    /// The engine does not know this path, or not this operation.
    Unsupported,
    /// The token is bad, or may not do this.
    Denied,
    /// 503: sealed, or something else.
    Unavailable,
    /// Anything that needs no second look.
    Error(StoreError),
}

/// What an answer other than 200 says.
///
/// A 404 counts as "no such entry" only in OpenBao's own words: that of a proxy must not empty anyone's Secret.
pub(super) fn no(status: StatusCode, body: &[u8]) -> No {
    #[derive(Default, Deserialize)]
    struct Said<'a> {
        errors: Option<Vec<String>>,
        warnings: Option<Vec<String>>,
        #[serde(borrow)]
        data: Option<HashMap<String, &'a RawValue>>,
    }
    let said: Said<'_> = serde_json::from_slice(body).unwrap_or_default();
    let errors = said.errors.as_deref();
    match status.as_u16() {
        404 if errors.is_some_and(<[String]>::is_empty) => No::Missing,
        404 if errors.is_some_and(|errors| errors.iter().any(|said| said == "namespace not found")) => {
            No::MissingNamespace
        }
        404 if errors.is_some() => No::WrongMount,
        404 if said.data.is_some_and(|data| data.contains_key("metadata")) => {
            No::Deleted(known_by_values(body, Timestamp::now()).ok().map(Box::new))
        }
        404 if said.warnings.is_some_and(|warnings| !warnings.is_empty()) => No::Unsupported,
        405 => No::Unsupported,
        403 => No::Denied,
        503 => No::Unavailable,
        429 => No::Error(StoreError::RateLimited),
        other => No::Error(StoreError::Server(other)),
    }
}

/// What is said of a namespace that does not exist.
pub(super) const NO_NAMESPACE: &str = "there is no such namespace: create it, or correct openBao.namespace";

/// A token that the server made, and for how long.
pub(super) struct Granted {
    pub(super) token: Zeroizing<String>,
    /// 0: without an end.
    pub(super) seconds: u64,
    pub(super) renewable: bool,
}

/// An answer to a login or a renewal.
pub(super) fn granted(body: &[u8]) -> Result<Granted, StoreError> {
    #[derive(Deserialize)]
    struct Login {
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: Zeroizing<String>,
        lease_duration: u64,
        #[serde(default)]
        renewable: bool,
    }
    let Auth { client_token, lease_duration, renewable } = parse::<Login>(body)?.auth;
    Ok(Granted { token: client_token, seconds: lease_duration, renewable })
}

/// An answer to `auth/token/lookup-self`.
pub(super) fn looked_up(body: &[u8]) -> Result<Granted, StoreError> {
    #[derive(Deserialize)]
    struct Token {
        ttl: u64,
        #[serde(default)]
        renewable: bool,
    }
    let Token { ttl, renewable } = parse::<Envelope<Token>>(body)?.data;
    Ok(Granted { token: Zeroizing::default(), seconds: ttl, renewable })
}

/// What the server says went wrong. For looking at, never for showing: it may quote what was sent.
pub(super) fn errors(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Said {
        errors: Vec<String>,
    }
    serde_json::from_slice::<Said>(body).map(|said| said.errors).unwrap_or_default()
}

/// Whether a 403 is worded like a policy's, which only a good token meets. A bad token hears `permission denied` alone,
/// or with `invalid token`.
pub(super) fn is_denied_by_policy(body: &[u8]) -> bool {
    errors(body).iter().any(|said| said.contains("* permission denied") && !said.contains("invalid token"))
}

/// Whether the engine at a mount is KV version 2; `None` when the answer does not tell.
pub(super) fn is_kv2(body: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Mount {
        r#type: String,
        #[serde(default)]
        options: Option<HashMap<String, String>>,
    }
    let mount = serde_json::from_slice::<Envelope<Mount>>(body).ok()?.data;
    let version = mount.options.as_ref().and_then(|options| options.get("version")).map(String::as_str);
    Some(matches!(mount.r#type.as_str(), "kv" | "generic") && version == Some("2"))
}

/// Whether `sys/seal-status` says sealed.
pub(super) fn is_sealed(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Status {
        sealed: bool,
    }
    serde_json::from_slice::<Status>(body).is_ok_and(|status| status.sealed)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, StoreError> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            return StoreError::Truncated;
        }
        // The error's own text quotes what it stumbled over.
        StoreError::Malformed(format!("line {} column {}", error.line(), error.column()))
    })
}

fn blank_is_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
