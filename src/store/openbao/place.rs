//! Where things are on the server: URLs of entries and folders, encoded segment by segment.

use http::StatusCode;
use url::Url;

use super::{
    answer,
    wire::{Question, Wire},
};
use crate::store::StoreError;

/// The server, the engine's mount, and what stands before each path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    base: Url,
    mount: String,
    prefix: String,
}

impl Place {
    pub(super) fn new(address: &str, mount: &str, prefix: &str) -> Result<Self, StoreError> {
        let wrong =
            |why: &str| Err(StoreError::Config(format!("the address {why}: write for example https://openbao:8200")));
        // The parser's own text could quote a password in the address.
        let Ok(mut base) = Url::parse(address.trim()) else { return wrong("is not a URL") };
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return wrong("is not an http or https URL");
        }
        if !base.username().is_empty() || base.password().is_some() {
            return wrong("may not hold a user or password");
        }
        base.set_query(None);
        base.set_fragment(None);
        let mount = mount.trim_matches('/').to_owned();
        check(&mount)?;
        Ok(Self { base, mount, prefix: prefix.to_owned() })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    /// `<prefix><path>`: the entry below the mount.
    pub(super) fn full(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// `<mount>/<prefix><path>`, as one would name it on OpenBao's command line.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{}/{}{path}", self.mount, self.prefix)
    }

    /// Whether the path names an entry.
    pub(super) fn check(&self, path: &str) -> Result<(), StoreError> {
        check(&self.full(path))
    }

    /// `<mount>/<kind>/<prefix><path>`, where kind is `data` or `metadata`.
    pub(super) fn entry(&self, kind: &str, path: &str) -> Result<Url, StoreError> {
        self.check(path)?;
        Ok(self.url(&[&self.mount, kind, &self.full(path)]))
    }

    /// One page of a folder below the mount: `""`, or a path that ends in a slash.
    pub(super) fn page(&self, folder: &str, limit: usize, after: Option<&str>) -> Url {
        // A trailing slash is an empty last segment, which is what a folder without one needs too.
        let folder = folder.trim_end_matches('/');
        let parts: &[&str] = if folder.is_empty() { &[] } else { &[folder] };
        let mut url = self.url(&[&[self.mount.as_str(), "detailed-metadata"], parts, &[""]].concat());
        let mut query = url.query_pairs_mut();
        // Every proxy lets GET through; not every one lets LIST.
        query.append_pair("list", "true").append_pair("limit", &limit.to_string());
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        drop(query);
        url
    }

    /// Where one logs in by an auth method.
    pub(super) fn login(&self, mount: &str) -> Result<Url, StoreError> {
        let mount = mount.trim_matches('/');
        check(mount)?;
        Ok(self.url(&["auth", mount, "login"]))
    }

    /// What a 503 means.
    pub(super) async fn unavailable(&self, wire: &Wire) -> StoreError {
        match wire.ask(&Question::of_server(&self.api("sys/seal-status"))).await {
            Ok(answer) if answer.status == StatusCode::OK && answer::is_sealed(&answer.body) => StoreError::Sealed,
            _ => StoreError::Server(StatusCode::SERVICE_UNAVAILABLE.as_u16()),
        }
    }

    /// Anything else of the API, such as `sys/seal-status`.
    pub(super) fn api(&self, path: &str) -> Url {
        self.url(&[path])
    }

    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(parts.iter().flat_map(|part| part.split('/')));
        }
        url
    }
}

/// A URL would silently lose `.` and `..`, and so lead to another entry; the server redirects from an empty segment.
fn check(path: &str) -> Result<(), StoreError> {
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(StoreError::Config(format!("{path:?} is not a path: no segment may be empty, . or ..")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str, mount: &str, prefix: &str) -> Place {
        Place::new(address, mount, prefix).unwrap()
    }

    #[test]
    fn an_entry_is_mount_kind_prefix_and_path() {
        let cases = [
            ("http://bao:8200", "secret", "spaces/", "a", "http://bao:8200/v1/secret/metadata/spaces/a"),
            ("http://bao:8200/", "/teams/kv/", "", "a/b", "http://bao:8200/v1/teams/kv/metadata/a/b"),
            ("https://x/vault/", "kv", "p-", "a", "https://x/vault/v1/kv/metadata/p-a"),
            ("https://x?q=1#f", "kv", "", "a", "https://x/v1/kv/metadata/a"),
        ];
        for (address, mount, prefix, path, expected) in cases {
            assert_eq!(place(address, mount, prefix).entry("metadata", path).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn each_segment_is_percent_encoded() {
        let place = place("http://bao:8200", "secret", "spaces/");
        let url = place.entry("data", "odd ?#%2F/é\\").unwrap();
        assert_eq!(url.as_str(), "http://bao:8200/v1/secret/data/spaces/odd%20%3F%23%252F/%C3%A9%5C");
        let url = place.page("spaces/x y/", 10, Some("a b&limit=9"));
        assert_eq!(
            url.as_str(),
            "http://bao:8200/v1/secret/detailed-metadata/spaces/x%20y/?list=true&limit=10&after=a+b%26limit%3D9"
        );
        assert_eq!(
            place.page("", 10, None).as_str(),
            "http://bao:8200/v1/secret/detailed-metadata/?list=true&limit=10"
        );
    }

    #[test]
    fn a_path_that_would_lead_elsewhere_is_refused() {
        let place = place("http://bao:8200", "secret", "spaces/");
        for path in ["", "..", "../other", "a/../../other", "a/./b", "a//b", "a/", "/a"] {
            assert!(matches!(place.entry("data", path), Err(StoreError::Config(_))), "{path}");
        }
        for mount in ["", "a//b", "..", "a/.."] {
            assert!(matches!(Place::new("http://bao:8200", mount, ""), Err(StoreError::Config(_))), "{mount}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_showing_a_password() {
        for address in
            ["", "bao:8200", "ftp://bao", "https://u:hunter2@bao", "https://hunter2@bao", "https://u:hunter2@bao:x"]
        {
            let error = Place::new(address, "secret", "").unwrap_err().to_string();
            assert!(error.contains("write for example") && !error.contains("hunter2"), "{address}: {error}");
        }
    }
}
