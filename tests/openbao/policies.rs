//! What a policy may forbid.

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
