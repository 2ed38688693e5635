//! What a policy may forbid.

use std::time::Instant;

use serde_json::json;
use spacesync::store::{
    Heads, StoreError,
    openbao::{OpenBao, Settings},
};

use crate::folder::{Folder, LIST_HEADS, READ_HEADS, READ_VALUES, SHARED, credential, paths};

#[tokio::test]
async fn where_a_policy_forbids_to_list_each_head_is_asked_for() {
    let folder = Folder::new();
    let client = folder.client_with_policy(READ_HEADS);
    let names = paths(&["a", "b", "c", "missing"]);
    for name in &names[..3] {
        folder.put(name, json!({}));
    }
    for _ in 0..2 {
        let heads: Heads = client.heads(&names).await.unwrap();
        assert!(names[..3].iter().all(|name| heads[name].is_ok()));
        assert!(matches!(heads["missing"], Err(StoreError::NotFound(_))));
    }
    assert!(!client.bulk());
    assert_eq!((folder.asked("/detailed-metadata/"), folder.asked("/metadata/")), (1, 8));
}

#[tokio::test]
async fn heads_need_no_right_to_read_values() {
    let folder = Folder::new();
    let client = folder.client_with_policy(&[READ_HEADS, LIST_HEADS].join("\n"));
    folder.put("a", json!({"K": "1"}));
    folder.put("b", json!({"K": "1"}));
    assert!(client.heads(&paths(&["a", "b"])).await.unwrap().values().all(Result::is_ok));
    let denied = format!("the token's policies do not allow to read secret/data/{}", folder.path("a"));
    assert_eq!(client.read("a").await, Err(StoreError::Forbidden(denied)));
    let reader = folder.client_with_policy(&[READ_HEADS, READ_VALUES].join("\n"));
    assert!(reader.read("a").await.is_ok());
}

#[tokio::test]
async fn where_a_policy_forbids_the_metadata_the_values_own_answer_tells_every_move() {
    let folder = Folder::new();
    let (client, path) = (folder.client_with_policy(READ_VALUES), folder.path("a"));
    let mut before = None;
    let put = || {
        folder.put("a", json!({"K": "1"}));
    };
    let steps: [(&str, &dyn Fn(), u64, bool); 7] = [
        ("write", &put, 1, false),
        ("write again", &put, 2, false),
        ("soft delete", &|| SHARED.delete(&path).unwrap(), 2, true),
        ("undelete", &|| SHARED.undelete(&path, &[2]).unwrap(), 2, false),
        ("destroy", &|| SHARED.destroy(&path, &[2]).unwrap(), 2, true),
        ("write over it", &put, 3, false),
        (
            "metadata delete and write",
            &|| {
                SHARED.delete_metadata(&path).unwrap();
                put();
            },
            1,
            false,
        ),
    ];
    for (step, act, version, gone) in steps {
        act();
        let head = client.head("a").await.unwrap();
        assert_eq!((head.version, head.is_gone()), (Some(version), gone), "{step}");
        assert_eq!(client.head("a").await.as_ref(), Ok(&head), "{step}: and stays");
        assert_ne!(before.replace(head.clone()), Some(head.clone()), "{step}");
        match client.read("a").await {
            Ok(snapshot) => assert_eq!((snapshot.head, snapshot.version), (head, version), "{step}"),
            Err(error) => assert!(gone && matches!(error, StoreError::Deleted(_)), "{step}: {error}"),
        }
    }
    // It is not asked for what is forbidden again and again.
    assert_eq!(client.requests().heads, 1);
    assert!(matches!(client.head("missing").await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn where_only_the_metadata_is_forbidden_bulk_and_reads_tell_the_same_head() {
    let folder = Folder::new();
    let client = folder.client_with_policy(&[LIST_HEADS, READ_VALUES].join("\n"));
    let names = paths(&["a", "b"]);
    for name in &names {
        folder.put(name, json!({"K": "1"}));
    }
    assert!(client.heads(&names).await.unwrap().values().all(Result::is_ok));
    for name in &names {
        let read = client.read(name).await.unwrap().head;
        assert_eq!(client.heads(&names).await.unwrap()[name], Ok(read));
    }
    assert!(client.bulk());
}

#[tokio::test]
async fn metadata_that_is_allowed_later_is_asked_for_where_nothing_was_allowed_before() {
    let folder = Folder::new();
    folder.put("a", json!({"K": "1"}));
    let hidden = folder.policy("");
    let client = OpenBao::new(&Settings { credential: credential(&hidden.token), ..folder.settings() }).unwrap();
    assert!(matches!(client.head("a").await, Err(StoreError::Forbidden(_))));
    assert!(matches!(client.read("a").await, Err(StoreError::Forbidden(_))));
    hidden.becomes(&[READ_HEADS, READ_VALUES].join("\n"));
    let before = client.requests().reads;
    assert!(client.head("a").await.is_ok());
    assert_eq!(client.requests().reads, before, "no value is read for a head");
}

#[tokio::test]
async fn a_bad_token_is_told_from_a_policys_denial() {
    let folder = Folder::new();
    folder.put("a", json!({"K": "1"}));
    folder.put("b", json!({"K": "1"}));
    let with = |token: &str| OpenBao::new(&Settings { credential: credential(token), ..folder.settings() }).unwrap();
    let unauthorized = StoreError::Unauthorized(
        "the token is unknown, revoked or expired: renew it in the Secret that auth.tokenSecret names".into(),
    );
    let bad = with("s.nonsense");
    assert_eq!(bad.head("a").await, Err(unauthorized.clone()));
    assert_eq!(bad.heads(&paths(&["a", "b"])).await, Err(unauthorized.clone()));
    assert!(bad.bulk());
    // Both kinds of good token: one that may look itself up by the default policy, and one that may do nothing at all.
    let request = r#"{"policies":["default"],"no_parent":true}"#;
    let answer = SHARED.request("POST", "auth/token/create", Some(request)).unwrap();
    let default = with(answer["auth"]["client_token"].as_str().unwrap());
    let nothing = folder.client_with_policy(r#"path "elsewhere" { capabilities = ["read"] }"#);
    for client in [default, nothing] {
        assert!(matches!(client.head("a").await, Err(StoreError::Forbidden(_))));
        let heads = client.heads(&paths(&["a", "b"])).await.unwrap();
        assert!(heads.values().all(|head| matches!(head, Err(StoreError::Forbidden(_)))));
    }
    let token = SHARED.token_with_policy(&READ_HEADS.replace("FOLDER/", &folder.prefix)).unwrap();
    let revoked = with(&format!("{token}\n"));
    assert!(revoked.head("a").await.is_ok());
    SHARED.revoke(&token).unwrap();
    assert_eq!(revoked.head("a").await, Err(unauthorized));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_idle_minute_of_two_thousand_entries_costs_by_policy() {
    let folder = Folder::new();
    let names: Vec<String> = (0..2000).map(|n| format!("space-{n}")).collect();
    for name in &names {
        folder.put(name, json!({"TOKEN": "0123456789abcdef0123456789abcdef01234567"}));
    }
    let all = [READ_VALUES, READ_HEADS, LIST_HEADS];
    for (policy, costs) in [(&all[..], [1, 0, 0]), (&all[..2], [0, 2000, 0]), (&all[..1], [0, 0, 2000])] {
        let client = folder.client_with_policy(&policy.join("\n"));
        // The first minute finds out what is allowed.
        client.heads(&names).await.unwrap();
        let counts = || [client.requests().pages, client.requests().heads, client.requests().reads];
        let (before, audited) = (counts(), folder.asked(""));
        let start = Instant::now();
        let heads = client.heads(&names).await.unwrap();
        let took = start.elapsed();
        assert!(names.iter().all(|name| heads[name].is_ok()));
        let (after, now) = (counts(), folder.asked(""));
        let spent: [u64; 3] = std::array::from_fn(|n| after[n] - before[n]);
        println!("{} of 3 rights: {spent:?} pages, heads and values in {took:?}", policy.len());
        assert_eq!(spent, costs);
        assert_eq!((now - audited) as u64, spent.iter().sum::<u64>(), "as the server counts");
    }
}
