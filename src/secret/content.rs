//! Since when a managed Secret holds what it holds: its version may move on while the content stays.

use std::{fmt, str::FromStr};

use super::Revision;

/// The revision with which the content came, and when: `<revision>/<time>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The revision. Later ones with the same fingerprint hold the same.
    pub revision: String,
    /// When it was written, by the operator's clock.
    pub since: jiff::Timestamp,
}

impl Content {
    /// Of a Secret that does not tell: nothing is known to be younger.
    pub fn untold(revision: &str) -> Self {
        Self { revision: revision.to_owned(), since: jiff::Timestamp::MAX }
    }

    /// Whether a Secret of this revision holds it.
    pub fn is_of(&self, revision: &str) -> bool {
        let fingerprint = |text: &str| text.parse::<Revision>().ok().map(|revision| revision.fingerprint);
        fingerprint(&self.revision).is_some_and(|own| fingerprint(revision) == Some(own))
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.revision, self.since)
    }
}

impl FromStr for Content {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (revision, since) = text.split_once('/').ok_or(())?;
        revision.parse::<Revision>().map_err(|_| ())?;
        Ok(Self { revision: revision.to_owned(), since: since.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let content = "41-9f3c0a1b2c3d4e5f/2026-11-24T10:15:00.123Z".parse::<Content>().unwrap();
        assert_eq!(content.to_string().parse(), Ok(content));
        for bad in ["", "41-9f3c0a1b2c3d4e5f", "41/2026-11-24T10:15:00Z", "41-9f3c0a1b2c3d4e5f/yesterday"] {
            assert_eq!(bad.parse::<Content>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn a_version_that_moves_alone_brings_no_other_content() {
        let content = Content::untold("41-9f3c0a1b2c3d4e5f");
        assert!(content.is_of("42-9f3c0a1b2c3d4e5f"));
        assert!(!content.is_of("42-0000000000000000") && !content.is_of("") && !Content::untold("").is_of(""));
    }
}
