//! What a failure of a store is called in conditions, Events and metrics. One table.

use super::StoreError;
use crate::resources::{Reason, condition::Verdict};

impl StoreError {
    /// The reason that stands in a condition, and in a metric's label.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unreachable(_) => Reason::SourceUnreachable,
            Self::UnknownHost => Reason::SourceUnknownHost,
            Self::Tls(_) => Reason::SourceTls,
            Self::Unauthorized(_) => Reason::SourceUnauthorized,
            Self::NoToken(_) => Reason::SourceNoToken,
            Self::Forbidden(_) => Reason::SourceForbidden,
            Self::Sealed => Reason::SourceSealed,
            Self::NotFound(_) => Reason::SourceNotFound,
            Self::Deleted(_) => Reason::SourceDeleted,
            Self::RateLimited => Reason::SourceRateLimited,
            Self::Malformed(_) => Reason::SourceMalformed,
            Self::Truncated => Reason::SourceTruncated,
            Self::TooLarge(_) => Reason::SourceTooLarge,
            Self::TimedOut => Reason::SourceTimedOut,
            Self::Server(_) => Reason::SourceError,
            Self::Config(_) => Reason::SecretManagerInvalid,
        }
    }

    /// Whether only one entry is concerned: the store itself answered.
    pub fn is_of_entry(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::Deleted(_))
    }
}

/// What a condition says of this failure. `path` is the entry that was asked for.
pub fn verdict(error: &StoreError, manager: &str, path: &str) -> Verdict {
    let own = match error {
        // The store knows best what it looked for, such as `space-newsroom-dev`.
        StoreError::NotFound(entry) | StoreError::Deleted(entry) => entry.as_str(),
        _ => path,
    };
    let why = match error {
        StoreError::Unreachable(why)
        | StoreError::Tls(why)
        | StoreError::Unauthorized(why)
        | StoreError::NoToken(why)
        | StoreError::Forbidden(why)
        | StoreError::Malformed(why)
        | StoreError::Config(why) => why.clone(),
        StoreError::TooLarge(limit) => format!("over {limit} bytes"),
        StoreError::Server(code) => format!("status {code}"),
        other => other.to_string(),
    };
    Verdict::new(false, error.reason(), &[("manager", manager), ("path", own), ("why", &why)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<StoreError> {
        vec![
            StoreError::Unreachable("connection refused".into()),
            StoreError::UnknownHost,
            StoreError::Tls("unknown issuer".into()),
            StoreError::Unauthorized("expired".into()),
            StoreError::NoToken("forbidden".into()),
            StoreError::Forbidden("permission denied".into()),
            StoreError::Sealed,
            StoreError::NotFound("spaces/newsroom-dev".into()),
            StoreError::Deleted("spaces/newsroom-dev".into()),
            StoreError::RateLimited,
            StoreError::Malformed("line 1 column 2".into()),
            StoreError::Truncated,
            StoreError::TooLarge(7),
            StoreError::TimedOut,
            StoreError::Server(500),
            StoreError::Config("Secret bao-token has no key token".into()),
        ]
    }

    #[test]
    fn every_failure_reads_as_a_whole_sentence() {
        for error in all() {
            let verdict = verdict(&error, "central", "newsroom-dev");
            assert!(!verdict.message.contains(['{', '}']), "{}", verdict.message);
            assert!(verdict.message.contains("central") || verdict.message.contains("spaces/"), "{}", verdict.message);
        }
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let text = |error| verdict(&error, "central", "newsroom-dev").message;
        assert_eq!(
            text(StoreError::NotFound("space-newsroom-dev".into())),
            "central has no entry space-newsroom-dev; create it, or correct spec.path of the Space"
        );
        assert_eq!(
            text(StoreError::Config("Secret bao-token has no key token".into())),
            "SecretManager central cannot be used: Secret bao-token has no key token"
        );
        assert_eq!(text(StoreError::Server(502)), "central answered with an error: status 502");
    }
}
