//! What the types of Secrets demand of their keys. Kubernetes refuses a Secret that does not meet its type, and says so only
//! when the earlier one has gone: a type cannot be changed in place.

use std::collections::BTreeMap;

use super::Entry;

/// What Kubernetes demands of a Secret of this type and these entries lack; `None` when it is met.
pub fn lacks(type_: &str, entries: &BTreeMap<String, Entry>) -> Option<String> {
    let has = |key: &str| entries.contains_key(key);
    let missing = |keys: &[&str]| {
        let missing: Vec<_> = keys.iter().copied().filter(|key| !has(key)).collect();
        (!missing.is_empty()).then(|| format!("the key {}", missing.join(" and the key ")))
    };
    match type_ {
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            Some("the key username or the key password".to_owned())
        }
        "kubernetes.io/ssh-auth" => match entries.get("ssh-privatekey") {
            Some(entry) if !entry.value.is_empty() => None,
            _ => Some("the key ssh-privatekey with something in it".to_owned()),
        },
        "kubernetes.io/dockercfg" => lacks_json(entries, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => lacks_json(entries, ".dockerconfigjson"),
        _ => None,
    }
}

fn lacks_json(entries: &BTreeMap<String, Entry>, key: &str) -> Option<String> {
    let is_object = |entry: &Entry| {
        let json = entry.value.expose();
        json.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok()
    };
    (!entries.get(key).is_some_and(is_object)).then(|| format!("the key {key} with a JSON object in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_says_what_it_lacks() {
        type Row = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);
        let table: &[Row] = &[
            ("Opaque", &[], None),
            ("example.org/own", &[], None),
            ("kubernetes.io/tls", &[("tls.crt", "c"), ("tls.key", "k"), ("more", "m")], None),
            ("kubernetes.io/tls", &[("tls.crt", "c")], Some("the key tls.key")),
            ("kubernetes.io/tls", &[("A", "1")], Some("the key tls.crt and the key tls.key")),
            ("kubernetes.io/basic-auth", &[("password", "p")], None),
            ("kubernetes.io/basic-auth", &[("A", "1")], Some("the key username or the key password")),
            ("kubernetes.io/ssh-auth", &[("ssh-privatekey", "k")], None),
            ("kubernetes.io/ssh-auth", &[("ssh-privatekey", "")], Some("the key ssh-privatekey with something in it")),
            ("kubernetes.io/dockercfg", &[(".dockercfg", "{}")], None),
            ("kubernetes.io/dockerconfigjson", &[(".dockerconfigjson", "{\"auths\": {}}")], None),
            (
                "kubernetes.io/dockerconfigjson",
                &[(".dockerconfigjson", "[\"hunter2\"]")],
                Some("the key .dockerconfigjson with a JSON object in it"),
            ),
        ];
        for (type_, entries, expected) in table {
            let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), Entry::text(value))).collect();
            assert_eq!(lacks(type_, &entries).as_deref(), *expected, "{type_}");
        }
    }
}
