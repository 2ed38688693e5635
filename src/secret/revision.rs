//! `<version>-<fingerprint>`: what exactly a Secret holds, a pod was told, a runtime has loaded.

use std::{fmt, str::FromStr};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Format, Value};

/// 64 bits of an HMAC. Keyed, so that it tells nothing to whoever may read metadata, and bound to an owner, so that
/// equal secrets of two tenants look different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = BadRevision;

    fn from_str(text: &str) -> Result<Self, BadRevision> {
        // `from_str_radix` takes a sign and capitals; a fingerprint has one spelling only.
        let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !plain {
            return Err(BadRevision);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| BadRevision)
    }
}

/// The key of every fingerprint: 32 random bytes, kept in a Secret of the operator's own namespace.
#[derive(Clone)]
pub struct FingerprintKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

impl FingerprintKey {
    /// The length of a key in bytes.
    pub const LEN: usize = 32;

    /// Takes a stored key; `None` when it has not the right length.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        (bytes.len() == Self::LEN).then_some(Self(bytes))
    }

    /// The fingerprint of entries as they belong to `owner` (a namespace and a sync's UID, or a Space's UID).
    ///
    /// Every field goes in with its length before it, so no two different inputs give the same bytes.
    pub fn fingerprint<'a>(
        &self,
        owner: &[&str],
        entries: impl IntoIterator<Item = (&'a str, Format, &'a Value)>,
    ) -> Fingerprint {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("an HMAC takes a key of any length");
        let mut field = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        for part in owner {
            field(part.as_bytes());
        }
        for (key, format, value) in entries {
            field(key.as_bytes());
            field(format.to_string().as_bytes());
            field(value.expose());
        }
        let digest = mac.finalize().into_bytes();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Fingerprint(u64::from_be_bytes(first))
    }
}

/// What a managed Secret holds, in one word: people read the version, the machine trusts the fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The space's counter when the entry was read.
    pub version: u64,
    /// Of every key, format and value that the Secret holds.
    pub fingerprint: Fingerprint,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.version, self.fingerprint)
    }
}

/// The text is no `<version>-<fingerprint>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a revision: expected <version>-<16 hex digits>")]
pub struct BadRevision;

impl FromStr for Revision {
    type Err = BadRevision;

    fn from_str(text: &str) -> Result<Self, BadRevision> {
        let (version, fingerprint) = text.split_once('-').ok_or(BadRevision)?;
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadRevision);
        }
        Ok(Self { version: version.parse().map_err(|_| BadRevision)?, fingerprint: fingerprint.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> FingerprintKey {
        FingerprintKey::new(vec![7; 32]).unwrap()
    }

    fn fingerprint(owner: &[&str], entries: &[(&str, Format, &str)]) -> Fingerprint {
        let values: Vec<_> = entries.iter().map(|(k, f, v)| (*k, *f, Value::from(*v))).collect();
        key().fingerprint(owner, values.iter().map(|(k, f, v)| (*k, *f, v)))
    }

    #[test]
    fn equal_secrets_of_two_syncs_have_different_fingerprints() {
        let entries = [("A", Format::Text, "same")];
        assert_ne!(fingerprint(&["ns", "uid-1"], &entries), fingerprint(&["ns", "uid-2"], &entries));
        assert_ne!(fingerprint(&["ns-1", "uid"], &entries), fingerprint(&["ns-2", "uid"], &entries));
    }

    #[test]
    fn another_key_gives_another_fingerprint() {
        let value = Value::from("same");
        let other = FingerprintKey::new(vec![8; 32]).unwrap();
        let entries = || [("A", Format::Text, &value)];
        assert_ne!(key().fingerprint(&["o"], entries()), other.fingerprint(&["o"], entries()));
    }

    #[test]
    fn moving_a_byte_between_key_and_value_changes_the_fingerprint() {
        assert_ne!(
            fingerprint(&["o"], &[("AB", Format::Text, "C")]),
            fingerprint(&["o"], &[("A", Format::Text, "BC")])
        );
        assert_ne!(fingerprint(&["o"], &[("A", Format::Text, "1")]), fingerprint(&["o"], &[("A", Format::Json, "1")]));
        assert_ne!(fingerprint(&["ab", "c"], &[]), fingerprint(&["a", "bc"], &[]));
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        assert!(FingerprintKey::new(vec![1; 31]).is_none());
    }

    proptest! {
        #[test]
        fn a_revision_survives_being_written_and_read(version: u64, fingerprint: u64) {
            let revision = Revision { version, fingerprint: Fingerprint(fingerprint) };
            prop_assert_eq!(revision.to_string().parse(), Ok(revision));
        }

        #[test]
        fn no_other_text_parses_as_a_revision(text in "[-+0-9a-fA-F]{0,40}") {
            if let Ok(revision) = text.parse::<Revision>() {
                let zeros = text.len() - revision.to_string().len();
                prop_assert_eq!(format!("{}{revision}", "0".repeat(zeros)), text);
            }
        }
    }
}
