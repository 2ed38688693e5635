//! Looks for a value where it must not be, whatever form it may have taken there.

use std::fmt::Write;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
    discovery::{ApiGroup, Discovery, Scope, verbs},
};
use serde_json::{Value as Json, json};

/// A value that nothing else can hold by chance.
pub struct Canary {
    text: String,
    needles: Vec<String>,
}

impl Canary {
    /// A new one. Between its random parts stands what JSON, URLs and logs escape.
    pub fn new() -> Self {
        let parts = [(); 3].map(|()| random(20));
        let [a, b, c] = &parts;
        let text = format!("{a}\"\\{b}\u{fc}/&<\n{c}");
        Self { text, needles: parts.iter().flat_map(|part| needles(part)).collect() }
    }

    /// A token that somebody else made.
    pub fn of(token: &str) -> Self {
        Self { text: token.to_owned(), needles: needles(token) }
    }

    /// The value.
    pub fn text(&self) -> String {
        self.text.clone()
    }

    /// The value inside a JSON document.
    pub fn json(&self) -> String {
        json!({"password": self.text()}).to_string()
    }

    /// The value as text, and in each form in which text is carried.
    pub fn forms(&self) -> [(&'static str, String); 8] {
        let text = self.text();
        let list: Vec<_> = text.bytes().map(|byte| byte.to_string()).collect();
        [
            ("plain", text.clone()),
            ("base64", STANDARD.encode(&text)),
            ("base64 within more", STANDARD.encode(format!("x{text}"))),
            ("base64 for URLs", URL_SAFE.encode(format!("xy{text}"))),
            ("URL-encoded", url::form_urlencoded::byte_serialize(text.as_bytes()).collect()),
            ("JSON-escaped", json!(json!(text).to_string()).to_string()),
            ("hexadecimal", hex::encode(&text)),
            ("a list of bytes", format!("[{}]", list.join(", "))),
        ]
    }

    /// How often a text holds a part of the value: as it is, and in base64, as JSON of the API server carries it.
    pub fn copies(&self, text: &str) -> (usize, usize) {
        // Three parts with eight needles each: the part itself, then seven ways to write it, of which the last three are
        // base64.
        let count = |needles: &[String]| needles.iter().map(|needle| text.matches(needle.as_str()).count()).max();
        let forms = self.needles.chunks(self.needles.len() / 3);
        let counts =
            forms.map(|forms| (count(&forms[..1]).unwrap_or_default(), count(&forms[5..]).unwrap_or_default()));
        counts.fold((0, 0), |most, counts| (most.0.max(counts.0), most.1.max(counts.1)))
    }

    /// Where a text holds any part of the value in any form: the words around it.
    pub fn find(&self, text: &str) -> Option<String> {
        let at = self.needles.iter().find_map(|needle| text.find(needle.as_str()))?;
        let from = text.floor_char_boundary(at.saturating_sub(120));
        let to = text.floor_char_boundary((at + 60).min(text.len()));
        Some(text[from..to].to_owned())
    }
}

fn random(length: usize) -> String {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("randomness");
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

/// What of a part is seen in every form. JSON and URLs leave letters and digits as they are.
fn needles(part: &str) -> Vec<String> {
    let bytes = |separator| part.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(separator);
    let hexed = hex::encode(part);
    let mut needles = vec![part.to_owned(), bytes(", "), bytes(","), hexed.to_uppercase(), hexed];
    // Base64 cuts bytes into sixes: what stands before a part decides where, so there are three forms of it. The ends
    // depend on the neighbours and are left out. Letters and digits never give + or /, so URLs have the same.
    for before in 0..3 {
        let encoded = STANDARD.encode(format!("{}{part}", "\0".repeat(before)));
        let (from, to) = ((before * 8).div_ceil(6), (before + part.len()) * 8 / 6);
        needles.push(encoded[from..to].to_owned());
    }
    needles
}

/// One place where a value could come out.
pub struct Channel {
    /// What it is called.
    pub name: String,
    /// All that it says.
    pub text: String,
}

impl Channel {
    /// A place and what it says.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// Where a value came out: the place, and the words around it.
pub fn leaks(canary: &Canary, channels: &[Channel]) -> String {
    let mut leaks = String::new();
    for channel in channels {
        if let Some(words) = canary.find(&channel.text) {
            let _ = writeln!(leaks, "{}: …{words}…", channel.name);
        }
    }
    leaks
}

/// Every object of every kind that the API server lists, or of those that are in one namespace.
pub async fn objects(client: &Client, namespace: Option<&str>) -> Vec<DynamicObject> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await.expect("the kinds that there are");
    let mut all = Vec::new();
    for (resource, can) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
        if !can.supports_operation(verbs::LIST) || (namespace.is_some() && can.scope == Scope::Cluster) {
            continue;
        }
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        // A kind may go between being found and being listed.
        let Ok(list) = api.list(&ListParams::default()).await else { continue };
        all.extend(list.items.into_iter().map(|mut object| {
            object.types =
                Some(kube::core::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
            object
        }));
    }
    all
}

/// `Secret newsroom-dev/secrets`.
pub fn name_of(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// An object as a channel.
pub fn channel_of(object: &DynamicObject) -> Channel {
    Channel::new(name_of(object), json_of(object).to_string())
}

fn json_of(object: &DynamicObject) -> Json {
    serde_json::to_value(object).expect("an object is JSON")
}

#[test]
fn a_canary_is_found_in_every_form_and_nowhere_else() {
    let (canary, another) = (Canary::new(), Canary::new());
    for (form, text) in canary.forms() {
        let text = format!("before {text} after");
        assert!(canary.find(&text).is_some(), "{form}: {text}");
        assert_eq!(another.find(&text), None, "{form}");
    }
}
