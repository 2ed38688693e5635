//! Whether an entry moved, told without its values.

use std::time::{Duration, Instant};

use serde_json::json;
use spacesync::store::StoreError;

use crate::folder::{Folder, SHARED, head_in_bulk, paths};

#[tokio::test]
async fn every_change_moves_the_head_and_bulk_tells_the_same() {
    let folder = Folder::new();
    let (client, path) = (folder.client(), folder.path("a"));
    folder.put("another", json!({}));
    let mut before = None;
    let steps: [(&str, &dyn Fn(), u64, bool); 8] = [
        (
            "write",
            &|| {
                folder.put("a", json!({"K": "1"}));
            },
            1,
            false,
        ),
        (
            "write again",
            &|| {
                folder.put("a", json!({"K": "1"}));
            },
            2,
            false,
        ),
        ("soft delete", &|| SHARED.delete(&path).unwrap(), 2, true),
        ("undelete", &|| SHARED.undelete(&path, &[2]).unwrap(), 2, false),
        ("destroy", &|| SHARED.destroy(&path, &[2]).unwrap(), 2, true),
        (
            "write over it",
            &|| {
                folder.put("a", json!({"K": "1"}));
            },
            3,
            false,
        ),
        (
            "metadata delete and write",
            &|| {
                SHARED.delete_metadata(&path).unwrap();
                folder.put("a", json!({"K": "1"}));
            },
            1,
            false,
        ),
        (
            "roll back by a write",
            &|| {
                folder.put("a", json!({"K": "0"}));
            },
            2,
            false,
        ),
    ];
    for (step, act, version, gone) in steps {
        act();
        let head = client.head("a").await.unwrap();
        assert_eq!((head.version, head.is_gone()), (Some(version), gone), "{step}");
        assert_eq!(head_in_bulk(&client, "a").await.as_ref(), Ok(&head), "{step}");
        assert_eq!(client.head("a").await.as_ref(), Ok(&head), "{step}: and stays");
        assert_ne!(before.replace(head.clone()), Some(head), "{step}");
        let read = client.read("a").await;
        assert_eq!(read.is_ok(), !gone, "{step}");
    }
}

#[tokio::test]
async fn undeleting_brings_the_very_same_head_back() {
    let folder = Folder::new();
    let client = folder.client();
    folder.put("a", json!({"K": "1"}));
    let before = client.head("a").await.unwrap();
    SHARED.delete(&folder.path("a")).unwrap();
    assert_ne!(client.head("a").await.unwrap(), before);
    SHARED.undelete(&folder.path("a"), &[1]).unwrap();
    assert_eq!(client.head("a").await.unwrap(), before);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_apart() {
    let folder = Folder::new();
    let client = folder.client();
    let name = |path: &str| format!("secret/{}", folder.path(path));
    for path in ["deleted", "destroyed"] {
        folder.put(path, json!({"K": "hunter2"}));
    }
    SHARED.delete(&folder.path("deleted")).unwrap();
    SHARED.destroy(&folder.path("destroyed"), &[1]).unwrap();
    SHARED.request("POST", &format!("secret/metadata/{}", folder.path("bare")), Some("{}")).unwrap();
    for path in ["deleted", "destroyed"] {
        assert_eq!(client.read(path).await, Err(StoreError::Deleted(name(path))));
        assert!(client.head(path).await.unwrap().is_gone());
    }
    for path in ["missing", "bare", "missing/deeper", "odd ?#%é"] {
        assert_eq!(client.read(path).await, Err(StoreError::NotFound(name(path))), "{path}");
        assert_eq!(client.head(path).await, Err(StoreError::NotFound(name(path))), "{path}");
        assert_eq!(head_in_bulk(&client, path).await, Err(StoreError::NotFound(name(path))), "{path}");
    }
}

#[tokio::test]
async fn a_version_that_deletes_itself_is_there_until_then() {
    let folder = Folder::new();
    let client = folder.client();
    let metadata = format!("secret/metadata/{}", folder.path("a"));
    SHARED.request("POST", &metadata, Some(r#"{"delete_version_after":"1s"}"#)).unwrap();
    folder.put("a", json!({"K": "1"}));
    folder.put("another", json!({"K": "1"}));
    let head = client.head("a").await.unwrap();
    assert!(!head.is_gone());
    assert_eq!(head_in_bulk(&client, "a").await, Ok(head.clone()));
    assert_eq!(client.read("a").await.unwrap().head, head);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let after = client.head("a").await.unwrap();
    assert!(after.is_gone());
    assert_eq!(head_in_bulk(&client, "a").await, Ok(after));
    assert!(matches!(client.read("a").await, Err(StoreError::Deleted(_))));
}

#[tokio::test]
async fn fifty_heads_are_one_request_and_no_value_is_read() {
    let folder = Folder::new();
    let client = folder.client();
    let names: Vec<String> = (0..50).map(|n| format!("space-{n:02}")).collect();
    for name in &names {
        folder.put(name, json!({"K": "1"}));
    }
    let written = folder.asked("");
    let heads = client.heads(&names).await.unwrap();
    assert!(names.iter().all(|name| heads[name].as_ref().unwrap().version == Some(1)));
    assert_eq!(folder.asked("") - written, 1);
    assert_eq!(folder.asked("/detailed-metadata/"), 1);
    for _ in 0..3 {
        assert_eq!(client.heads(&names).await.unwrap(), heads);
    }
    assert_eq!(folder.asked("") - written, 4);
}

#[tokio::test]
async fn one_head_alone_is_asked_for_alone() {
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.put(name, json!({}));
    }
    let heads = folder.client().heads(&paths(&["a"])).await.unwrap();
    assert!(heads["a"].is_ok() && heads.len() == 1);
    assert_eq!((folder.asked("/detailed-metadata/"), folder.asked("/metadata/")), (0, 1));
}

#[tokio::test]
async fn more_heads_than_a_page_holds_come_in_pages() {
    let folder = Folder::new();
    let client = folder.client();
    let names: Vec<String> = (0..2705).map(|n| format!("s{n}")).collect();
    for name in &names {
        folder.put(name, json!({}));
    }
    let start = Instant::now();
    let heads = client.heads(&names).await.unwrap();
    println!("{} heads in {:?}", heads.len(), start.elapsed());
    assert!(heads.len() == 2705 && heads.values().all(Result::is_ok));
    assert_eq!(folder.asked("/detailed-metadata/"), 2);
    assert_eq!(folder.asked("/metadata/"), 0);
    // Few of many: one page, then each by itself rather than the whole folder.
    let heads = client.heads(&paths(&["s0", "s1204", "s999"])).await.unwrap();
    assert!(heads.len() == 3 && heads.values().all(Result::is_ok));
    assert_eq!(folder.asked("/detailed-metadata/"), 3);
}

#[tokio::test]
async fn paths_with_slashes_are_listed_folder_by_folder() {
    let folder = Folder::new();
    let client = folder.client();
    let names =
        paths(&["a", "b", "teams/x", "teams/y", "teams/deep/er/z", "teams", "odd ?#%é/one two", "odd ?#%é/+&="]);
    for (name, version) in names.iter().zip(1..) {
        for _ in 0..version {
            folder.put(name, json!({}));
        }
    }
    let heads = client.heads(&names).await.unwrap();
    for (name, version) in names.iter().zip(1..) {
        assert_eq!(heads[name].as_ref().unwrap().version, Some(version), "{name}");
        assert_eq!(heads[name], client.head(name).await, "{name}");
        assert_eq!(client.read(name).await.unwrap().version, version, "{name}");
    }
    assert_eq!(folder.asked("/detailed-metadata/"), 3);
}
