//! A JSON body, field by field. By hand, for serde's own errors quote what they could not read.

use serde_json::{Map, Value as Json};

use super::problem::{Problem, What};

/// The fields of a body. Those that nobody asks for are ignored: runtimes may be newer.
#[derive(Debug)]
pub struct Fields {
    fields: Map<String, Json>,
    prefix: String,
}

impl Fields {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Json::Object(fields)) => Ok(Self { fields, prefix: String::new() }),
            Ok(_) => Err(Problem::new(What::Malformed, "send a JSON object")),
            Err(error) => {
                let place = format!("line {} column {}", error.line(), error.column());
                Err(Problem::new(What::Malformed, format!("send a JSON object; what came cannot be read at {place}")))
            }
        }
    }

    /// A field that is there and not null.
    fn present(&self, name: &str) -> Option<&Json> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Any JSON, `null` too; `None` where there is no such field.
    pub fn raw(&self, name: &str) -> Option<&Json> {
        self.fields.get(name)
    }

    /// A field that is not as it should be.
    pub fn wrong(&self, name: &str, expected: &str) -> Problem {
        Problem::field(&format!("{}{name}", self.prefix), expected)
    }

    /// Text of up to `max` bytes.
    pub fn text(&self, name: &str, max: usize) -> Result<Option<&str>, Problem> {
        let wrong = || self.wrong(name, &format!("a string of up to {max} bytes"));
        match self.present(name) {
            None => Ok(None),
            Some(Json::String(text)) if text.len() <= max => Ok(Some(text)),
            Some(_) => Err(wrong()),
        }
    }

    /// A word that may stand in an annotation: letters, digits and `._+-`, up to 40.
    pub fn word(&self, name: &str) -> Result<Option<&str>, Problem> {
        let is_word = |text: &&str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
            (1..=40).contains(&text.len()) && text.bytes().all(plain)
        };
        match self.present(name) {
            None => Ok(None),
            Some(value) => value.as_str().filter(is_word).map(Some).ok_or_else(|| {
                self.wrong(name, "a word of 1 to 40 letters, digits, dots, dashes, underscores or plus signs")
            }),
        }
    }

    /// A whole number of at least 0 and at most `max`.
    pub fn count(&self, name: &str, max: u32) -> Result<Option<u32>, Problem> {
        match self.present(name) {
            None => Ok(None),
            Some(value) => {
                let count = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= max);
                count.map(Some).ok_or_else(|| self.wrong(name, &format!("a whole number from 0 to {max}")))
            }
        }
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, Problem> {
        match self.present(name) {
            None => Ok(None),
            Some(Json::Object(fields)) => {
                Ok(Some(Self { fields: fields.clone(), prefix: format!("{}{name}.", self.prefix) }))
            }
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        let body = br#"{"n": "hunter2", "t": 7, "w": "hunter 2", "o": {"w": ["hunter2"]}, "big": 101}"#;
        let fields = Fields::read(body).unwrap();
        let inner = fields.object("o").unwrap().unwrap();
        let problems = [
            (fields.count("n", 9).unwrap_err(), "n"),
            (fields.text("t", 9).unwrap_err(), "t"),
            (fields.text("w", 3).unwrap_err(), "w"),
            (fields.word("w").unwrap_err(), "w"),
            (inner.word("w").unwrap_err(), "o.w"),
            (fields.object("t").unwrap_err(), "t"),
            (fields.count("big", 100).unwrap_err(), "big"),
        ];
        for (problem, name) in problems {
            assert_eq!(problem.field.as_deref(), Some(name));
            assert!(!problem.detail.contains("hunter"), "{}", problem.detail);
        }
        for broken in [&b"{\"a\": hunter2}"[..], b"[1]", b"", b"\"hunter2\"", b"\xff\xfe"] {
            let problem = Fields::read(broken).unwrap_err();
            assert!(problem.what == What::Malformed && !problem.detail.contains("hunter"), "{}", problem.detail);
        }
    }

    #[test]
    fn what_is_absent_or_null_is_not_there_and_what_is_unknown_is_ignored() {
        let fields = Fields::read(br#"{"a": null, "newer": [1, 2]}"#).unwrap();
        assert_eq!((fields.text("a", 1).unwrap(), fields.count("b", 1).unwrap()), (None, None));
        assert!(fields.raw("a").is_some() && fields.raw("b").is_none());
    }
}
