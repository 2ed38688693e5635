//! What a token says of itself. Nothing of it is believed; but what says that it is of no use need not be reviewed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

use crate::resources::names::AUDIENCE;

/// Longer than any token of a service account.
const MAX_BYTES: usize = 8 * 1024;

/// Why a token is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Useless {
    /// It is no JSON Web Token.
    Malformed,
    /// It was issued for somebody else.
    Audience,
    /// It has ended.
    Expired,
}

#[derive(Deserialize)]
struct Claims {
    aud: Audiences,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

/// When a token ends, by its own word, unless that word says that it is of no use.
pub fn ends(token: &str, now: Timestamp) -> Result<Timestamp, Useless> {
    let claims = claims(token).ok_or(Useless::Malformed)?;
    let ends = Timestamp::from_second(claims.exp).map_err(|_| Useless::Malformed)?;
    let for_us = match &claims.aud {
        Audiences::One(audience) => audience == AUDIENCE,
        Audiences::Many(all) => all.iter().any(|audience| audience == AUDIENCE),
    };
    match (for_us, ends > now) {
        (false, _) => Err(Useless::Audience),
        (_, false) => Err(Useless::Expired),
        _ => Ok(ends),
    }
}

fn claims(token: &str) -> Option<Claims> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return None };
    let is_base64 =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if token.len() > MAX_BYTES || !is_base64(header) || !is_base64(signature) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn token(claims: &Json) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn of(token: &str) -> Result<i64, Useless> {
        ends(token, Timestamp::from_second(NOW).unwrap()).map(Timestamp::as_second)
    }

    #[test]
    fn what_a_token_says_of_itself_decides_whether_it_is_worth_a_review() {
        let later = NOW + 60;
        let table = [
            (json!({"aud": ["spacesync.dev"], "exp": later}), Ok(later)),
            (json!({"aud": "spacesync.dev", "exp": later, "more": {"of": "it"}}), Ok(later)),
            (json!({"aud": ["https://kubernetes.default.svc", "spacesync.dev"], "exp": later}), Ok(later)),
            (json!({"aud": ["https://kubernetes.default.svc"], "exp": later}), Err(Useless::Audience)),
            (json!({"aud": [], "exp": later}), Err(Useless::Audience)),
            (json!({"aud": ["spacesync.dev"], "exp": NOW}), Err(Useless::Expired)),
            (json!({"aud": ["spacesync.dev"]}), Err(Useless::Malformed)),
            (json!({"exp": later}), Err(Useless::Malformed)),
            (json!({"aud": ["spacesync.dev"], "exp": "soon"}), Err(Useless::Malformed)),
            (json!({"aud": ["spacesync.dev"], "exp": i64::MAX}), Err(Useless::Malformed)),
            (json!([]), Err(Useless::Malformed)),
        ];
        for (claims, expected) in table {
            assert_eq!(of(&token(&claims)), expected, "{claims}");
        }
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let good = token(&json!({"aud": "spacesync.dev", "exp": NOW + 1}));
        assert!(of(&good).is_ok());
        let long = format!("{good}{}", "A".repeat(MAX_BYTES));
        for bad in
            ["", "a", "a.b", "a.b.c", "..", &format!(".{good}"), &format!("{good}.x"), &format!("{good}="), &long]
        {
            assert_eq!(of(bad), Err(Useless::Malformed), "{bad:.40}");
        }
    }
}
