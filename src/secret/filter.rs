//! Which keys of a space a sync brings: `keys.include` less `keys.exclude`.

use globset::{Glob, GlobSet, GlobSetBuilder};
use thiserror::Error;

/// A pattern that is no glob.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{pattern:?} is not a glob ({why}); write for example PRODUCT_A_* or DB_?")]
pub struct BadPattern {
    /// The pattern as written.
    pub pattern: String,
    why: String,
}

/// Compiled `keys` of a sync.
#[derive(Debug)]
pub struct KeyFilter {
    /// `None`: every key. Every look at a sync asks for its filter, and to compile even `*` was a tenth of what a first sync took.
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl KeyFilter {
    /// Compiles the patterns. No include at all means every key.
    pub fn new(include: Option<&[String]>, exclude: Option<&[String]>) -> Result<Self, BadPattern> {
        let include = include.filter(|patterns| *patterns != ["*"]).map(set).transpose()?;
        Ok(Self { include, exclude: set(exclude.unwrap_or(&[]))? })
    }

    /// Whether the sync brings this key.
    pub fn takes(&self, key: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(key)) && !self.exclude.is_match(key)
    }
}

fn set(patterns: &[String]) -> Result<GlobSet, BadPattern> {
    let bad = |pattern: &str, error: &globset::Error| BadPattern {
        pattern: pattern.to_owned(),
        why: error.kind().to_string(),
    };
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(Glob::new(pattern).map_err(|e| bad(pattern, &e))?);
    }
    builder.build().map_err(|e| bad(e.glob().unwrap_or_default(), &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(include: &[&str], exclude: &[&str], key: &str) -> bool {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        KeyFilter::new(Some(&own(include)), Some(&own(exclude))).unwrap().takes(key)
    }

    #[test]
    fn without_patterns_every_key_is_taken() {
        let filter = KeyFilter::new(None, None).unwrap();
        for key in ["A", "a.b-c_d", ".hidden", "with/slash", "ключ"] {
            assert!(filter.takes(key), "{key}");
        }
    }

    #[test]
    fn exclude_wins_over_include() {
        let cases = [
            (&["*"][..], &["DB_*"][..], "DB_HOST", false),
            (&["*"], &["DB_*"], "with/slash", true),
            (&["*", "API_*"], &[], "ANY", true),
            (&["DB_*"], &[], "DB_HOST", true),
            (&["DB_*"], &[], "API_HOST", false),
            (&["DB_*"], &["*_PASSWORD"], "DB_PASSWORD", false),
            (&["DB_?"], &[], "DB_1", true),
            (&["DB_?"], &[], "DB_12", false),
            (&[], &[], "ANY", false),
        ];
        for (include, exclude, key, expected) in cases {
            assert_eq!(takes(include, exclude, key), expected, "{include:?} - {exclude:?} on {key}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = KeyFilter::new(Some(&["[a".to_owned()]), None).unwrap_err();
        assert!(error.to_string().contains("\"[a\" is not a glob"), "{error}");
    }
}
