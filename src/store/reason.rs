//! What a failure of a store is called in conditions, Events and metrics. One table.

use super::StoreError;
use crate::resources::{Reason, condition::Verdict};

impl From<&StoreError> for Reason {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unreachable(_) => Self::SourceUnreachable,
            StoreError::Tls(_) => Self::SourceTls,
            StoreError::Unauthorized(_) => Self::SourceUnauthorized,
            StoreError::Forbidden(_) => Self::SourceForbidden,
            StoreError::Sealed => Self::SourceSealed,
            StoreError::NotFound(_) => Self::SourceNotFound,
            StoreError::Deleted(_) => Self::SourceDeleted,
            StoreError::RateLimited { .. } => Self::SourceRateLimited,
            StoreError::Malformed(_) => Self::SourceMalformed,
            StoreError::Truncated => Self::SourceTruncated,
            StoreError::TooLarge(_) => Self::SourceTooLarge,
            StoreError::TimedOut => Self::SourceTimedOut,
            StoreError::Server(_) => Self::SourceError,
            StoreError::Config(_) => Self::SecretManagerInvalid,
        }
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
        StoreError::Unreachable(why) | StoreError::Tls(why) | StoreError::Malformed(why) | StoreError::Config(why) => {
            why.clone()
        }
        StoreError::TooLarge(limit) => format!("over {limit} bytes"),
        StoreError::Server(code) => format!("status {code}"),
        other => other.to_string(),
    };
    Verdict::new(false, Reason::from(error), &[("manager", manager), ("path", own), ("why", &why)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<StoreError> {
        vec![
            StoreError::Unreachable("connection refused".into()),
            StoreError::Tls("unknown issuer".into()),
            StoreError::Unauthorized("expired".into()),
            StoreError::Forbidden("permission denied".into()),
            StoreError::Sealed,
            StoreError::NotFound("spaces/newsroom-dev".into()),
            StoreError::Deleted("spaces/newsroom-dev".into()),
            StoreError::RateLimited { retry_after: Some(3) },
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
