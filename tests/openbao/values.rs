//! The values of an entry.

use std::{sync::Arc, thread};

use serde_json::json;
use spacesync::{secret::Format, store::StoreError};

use crate::folder::{Folder, SHARED, shows};

#[tokio::test]
async fn text_comes_as_it_was_written() {
    let folder = Folder::new();
    let large = "0123456789abcdef".repeat(32 * 1024);
    let texts = [
        ("PLAIN", "s3cr3t"),
        ("EMPTY", ""),
        ("SPACES", "  both ends \t"),
        ("LINES", "-----BEGIN KEY-----\nabc\r\ndef\n-----END KEY-----\n"),
        ("UNICODE", "Zürich 東京 🗝\u{fe0f} e\u{301} \u{202e}x"),
        ("ESCAPES", "\"\\/\u{8}\u{c}\u{0}\u{7f}<>&\u{2028}"),
        ("LOOKS_LIKE_JSON", "{\"a\": 1}"),
        ("LARGE", large.as_str()),
        ("a key/with ünusual \"name\"", "1"),
    ];
    folder.put("a", texts.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect());
    let snapshot = folder.client().read("a").await.unwrap();
    assert_eq!(snapshot.entries.len(), texts.len());
    for (key, text) in texts {
        assert!(shows(&snapshot, key, Format::Text, text), "{key}");
    }
}

#[tokio::test]
async fn json_comes_byte_for_byte_as_the_store_returns_it() {
    let folder = Folder::new();
    let data = r#"{"O": {"b": 1, "a": [1, {"x": "<é>"}]}, "N": 1.50, "BIG": 12345678901234567890123, "T": true, "NO": null,
        "L": [], "E": {}}"#;
    SHARED.put_raw(&folder.path("a"), data).unwrap();
    let snapshot = folder.client().read("a").await.unwrap();
    // The server sorts keys, rounds numbers and escapes; what it makes of them is what is kept.
    let expected = [
        ("O", r#"{"a":[1,{"x":"\u003cé\u003e"}],"b":1}"#),
        ("N", "1.5"),
        ("BIG", "1.2345678901234568e+22"),
        ("T", "true"),
        ("NO", "null"),
        ("L", "[]"),
        ("E", "{}"),
    ];
    for (key, raw) in expected {
        let found = String::from_utf8_lossy(snapshot.entries[key].value.expose()).into_owned();
        assert!(shows(&snapshot, key, Format::Json, raw), "{key}: {found}");
    }
}

#[tokio::test]
async fn an_entry_without_keys_is_an_entry() {
    let folder = Folder::new();
    folder.put("a", json!({}));
    assert!(folder.client().read("a").await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_snapshot_tells_its_version_and_times() {
    let (folder, start) = (Folder::new(), jiff::Timestamp::now());
    let client = folder.client();
    folder.put("a", json!({"K": "1"}));
    let first = client.read("a").await.unwrap();
    folder.put("a", json!({"K": "2"}));
    let second = client.read("a").await.unwrap();
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!((first.created, first.updated), (second.created, first.created));
    assert!(start < second.created && second.created < second.updated && second.updated < second.issued);
    assert_eq!(second.head, client.head("a").await.unwrap());
    // "Updated at" is when the secrets have been changed, and this changes none.
    let metadata = format!("secret/metadata/{}", folder.path("a"));
    SHARED.request("POST", &metadata, Some(r#"{"custom_metadata":{"owner":"x"}}"#)).unwrap();
    let touched = client.read("a").await.unwrap();
    assert_eq!((touched.version, touched.updated), (2, second.updated));
    assert_ne!(touched.head, second.head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_under_writes_never_mix_two_versions() {
    let folder = Arc::new(Folder::new());
    folder.put("a", json!({"N": 1}));
    let shared = Arc::clone(&folder);
    let writes = thread::spawn(move || {
        for n in 2..=300 {
            assert_eq!(shared.put("a", json!({"N": n})), n);
        }
    });
    let client = folder.client();
    let (mut reads, mut last) = (0, 0);
    while !writes.is_finished() {
        match client.read("a").await {
            Ok(snapshot) => {
                assert!(shows(&snapshot, "N", Format::Json, &snapshot.version.to_string()));
                assert_eq!(snapshot.head.version, Some(snapshot.version));
                assert_eq!(snapshot.head.updated, Some(snapshot.updated.into()));
                assert!(snapshot.version >= last);
                (reads, last) = (reads + 1, snapshot.version);
            }
            Err(error) => {
                let expected = StoreError::Malformed("its head and its values are of different versions".into());
                assert_eq!(error, expected);
            }
        }
    }
    writes.join().unwrap();
    println!("{reads} reads during 300 writes, {:?}", client.requests());
    assert!(reads > 10);
    assert_eq!(client.read("a").await.unwrap().version, 300);
}
