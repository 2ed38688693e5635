//! Tokens that no API server would issue, signed with the cluster's own key: the shortest that it issues holds for ten
//! minutes, too long to wait for its end.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{KeyPair, SigningKey};
use serde_json::{Value as Json, json};

use crate::world::World;

/// The claims of a token, as it carries them.
pub fn claims(token: &str) -> Json {
    let payload = token.split('.').nth(1).expect("a token");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

/// A token with these claims, signed with the cluster's key.
pub fn signed(world: &World, claims: &Json) -> String {
    let pem = std::fs::read_to_string(world.plane.dir().join("service-accounts.key")).expect("the cluster's key");
    with_key(&KeyPair::from_pem(&pem).expect("a key"), claims)
}

/// A token with these claims, signed with a key that nobody knows.
pub fn forged(claims: &Json) -> String {
    with_key(&KeyPair::generate().expect("a key"), claims)
}

fn with_key(key: &KeyPair, claims: &Json) -> String {
    let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(claims));
    let signature = key.sign(message.as_bytes()).expect("a signature");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(plain(&signature)))
}

/// JWS wants the two numbers of a signature as 32 bytes each; what signs certificates gives them in DER.
fn plain(der: &[u8]) -> Vec<u8> {
    let (mut rest, mut plain) = (&der[2..], Vec::new());
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        plain.extend(vec![0; 32 - number.len()]);
        plain.extend(number);
        rest = &rest[2 + length..];
    }
    plain
}
