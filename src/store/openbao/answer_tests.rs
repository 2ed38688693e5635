use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn metadata(version: &str) -> String {
    format!(
        r#"{{"cas_required":false,"created_time":"2026-11-24T21:40:16.695213009Z","current_version":2,
        "custom_metadata":null,"delete_version_after":"0s","updated_time":"2026-11-24T21:41:00.5Z","versions":{{
        "1":{{"created_time":"2026-11-24T21:40:16.695213009Z","deletion_time":"2026-11-24T21:40:17Z","destroyed":true}},
        "2":{version}}}}}"#
    )
}

fn version(deletion_time: &str, destroyed: bool) -> String {
    format!(r#"{{"created_time":"2026-11-24T21:41:00.5Z","deletion_time":"{deletion_time}","destroyed":{destroyed}}}"#)
}

fn head(version: &str) -> Head {
    let body = format!(r#"{{"data":{}}}"#, metadata(version));
    known(body.as_bytes(), at("2026-11-24T22:00:00Z")).unwrap().unwrap().head
}

fn read(data: &str) -> Values {
    let body =
        format!(r#"{{"data":{{"data":{data},"metadata":{{"created_time":"2026-11-24T21:41:00.5Z","version":2}}}}}}"#);
    values(body.as_bytes()).unwrap()
}

#[test]
fn a_head_tells_the_entrys_times_and_its_current_version() {
    let head = head(&version("", false));
    assert_eq!(head.version, Some(2));
    assert_eq!(head.created, Some(at("2026-11-24T21:40:16.695213009Z").into()));
    assert_eq!(head.updated, Some(at("2026-11-24T21:41:00.5Z").into()));
    assert!(!head.is_gone());
}

#[test]
fn only_a_deletion_in_the_past_is_one() {
    let cases = [
        ("", false, false),
        ("2026-11-24T21:59:59Z", false, true),
        ("2026-11-24T22:00:00Z", false, true),
        ("2026-11-24T22:00:01Z", false, false),
        ("", true, true),
        ("2026-11-24T21:59:59Z", true, true),
    ];
    for (deletion_time, destroyed, gone) in cases {
        assert_eq!(head(&version(deletion_time, destroyed)).is_gone(), gone, "{deletion_time} {destroyed}");
    }
}

#[test]
fn an_entry_with_metadata_only_has_no_head() {
    let body = br#"{"data":{"created_time":"2026-11-24T21:40:16Z","current_version":0,"updated_time":"2026-11-24T21:40:16Z","versions":{}}}"#;
    assert_eq!(known(body, Timestamp::now()), Ok(None));
}

#[test]
fn a_listing_tells_the_same_heads_as_the_entry_itself() {
    for version in [version("", false), version("2026-11-24T21:59:59Z", false), version("", true)] {
        let metadata = metadata(&version);
        let body =
            format!(r#"{{"data":{{"key_info":{{"a":{metadata},"b":{metadata},"f/":{{}}}},"keys":["a","b","f/"]}}}}"#);
        let page = page(body.as_bytes(), |name| name == "a", at("2026-11-24T22:00:00Z")).unwrap();
        let heads: Vec<_> = page.found.into_iter().map(|(name, known)| (name, known.unwrap().unwrap().head)).collect();
        assert_eq!(heads, [("a".to_owned(), head(&version))]);
        assert_eq!((page.len, page.last.as_deref()), (3, Some("f/")));
    }
}

#[test]
fn one_malformed_entry_does_not_spoil_the_listing() {
    let body = format!(
        r#"{{"data":{{"key_info":{{"a":{},"b":{{"current_version":"hunter2"}}}},"keys":["a","b"]}}}}"#,
        metadata(&version("", false))
    );
    let page = page(body.as_bytes(), |_| true, Timestamp::now()).unwrap();
    assert!(page.found["a"].is_ok());
    assert_eq!(page.found["b"], Err(StoreError::Malformed("line 1 column 28".into())));
}

#[test]
fn a_string_is_text_and_everything_else_is_json_byte_for_byte() {
    let cases = [
        (r#""plain""#, Entry::text("plain")),
        (r#""""#, Entry::text("")),
        (r#""two\nlines\t\"\\\/""#, Entry::text("two\nlines\t\"\\/")),
        (r#""\u00e9é\ud83d\ude00\u0000\u003c""#, Entry::text("éé😀\0<")),
        (r#""{\"looks\":\"like json\"}""#, Entry::text(r#"{"looks":"like json"}"#)),
        (r#"{"b":1,"a":[1,2]}"#, Entry::json(r#"{"b":1,"a":[1,2]}"#)),
        (r#"{"x":"\u003c\u0026"}"#, Entry::json(r#"{"x":"\u003c\u0026"}"#)),
        (r#"[ 1 , "é" ]"#, Entry::json(r#"[ 1 , "é" ]"#)),
        ("1.10", Entry::json("1.10")),
        ("1.2e+29", Entry::json("1.2e+29")),
        ("123456789012345678901234567890", Entry::json("123456789012345678901234567890")),
        ("true", Entry::json("true")),
        ("null", Entry::json("null")),
        ("{}", Entry::json("{}")),
    ];
    for (raw, expected) in cases {
        let values = read(&format!(r#"{{"K" : {raw} }}"#));
        assert!(values.entries["K"] == expected && values.refused.is_empty(), "{raw}");
    }
}

#[test]
fn keys_pass_through_whatever_their_names() {
    let values = read(r#"{"":"1","a b":"2","a\"\n\u00e9":"3","../x":"4",".spacesync.json":"5"}"#);
    assert_eq!(values.entries.keys().collect::<Vec<_>>(), ["", "../x", ".spacesync.json", "a b", "a\"\né"]);
}

#[test]
fn an_empty_entry_is_an_entry() {
    assert!(read("{}").entries.is_empty());
}

#[test]
fn a_text_that_is_none_is_refused_by_its_key_and_the_others_are_not() {
    let values = read(r#"{"BAD":"\ud800","GOOD":"1"}"#);
    assert_eq!(values.refused, [Refused { key: "BAD".into(), why: Refusal::NotUtf8 }]);
    assert_eq!(values.entries.len(), 1);
}

#[test]
fn an_answer_that_cannot_be_read_says_where_and_never_what() {
    let cases: [&[u8]; 10] = [
        br#""hunter2""#,
        br#"{"data":"hunter2"}"#,
        br#"{"data":{"data":"hunter2","metadata":{}}}"#,
        br#"{"data":{"data":{"K":hunter2}}}"#,
        br#"{"data":{"data":{"K":"hunter2","metadata":{"version":"hunter2"}}}"#,
        br#"{"data":{"data":{"K":"hunter2"},"metadata":{"version":1,"created_time":"hunter2"}}}"#,
        br#"{"data":{"data":{"K":"hunter2"},"hunter2":{}}}"#,
        br#"{"data":{"current_version":"hunter2"}}"#,
        br"<html>hunter2</html>",
        b"{\"data\":{\"data\":{\"K\":\"hunter2\xff\"},\"metadata\":{\"version\":1}}}",
    ];
    for body in cases {
        let now = Timestamp::now();
        // To a listing, some of these are merely without names.
        let errors = [values(body).err(), known(body, now).err(), page(body, |_| true, now).err()];
        assert!(errors[0].is_some() && errors[1].is_some());
        for error in errors.into_iter().flatten() {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{text}");
            assert!(error == StoreError::Truncated || text.contains("line 1 column"), "{text}");
        }
    }
}

#[test]
fn every_half_of_an_answer_ended_early() {
    let whole = r#"{"data":{"data":{"K":"hunter2","J":{"a":[1]}},"metadata":{"created_time":"2026-11-24T21:41:00.5Z","version":2}}}"#;
    assert!(values(whole.as_bytes()).is_ok());
    for end in 0..whole.len() {
        assert_eq!(values(&whole.as_bytes()[..end]), Err(StoreError::Truncated), "{}", &whole[..end]);
    }
}

#[test]
fn each_answer_that_is_no_200_has_its_meaning() {
    let deleted = r#"{"data":{"data":null,"metadata":{"version":1}},"warnings":null}"#;
    let unknown_path = r#"{"data":null,"warnings":["Invalid path for a versioned K/V secrets engine."]}"#;
    let no_mount = r#"{"errors":["no handler for route \"x/metadata/a\". route entry not found."]}"#;
    let cases = [
        (404, r#"{"errors":[]}"#, No::Missing),
        (404, deleted, No::Deleted(None)),
        (404, no_mount, No::WrongMount),
        (404, unknown_path, No::Unsupported),
        (404, "<html>not found</html>", No::Error(StoreError::Server(404))),
        (404, "", No::Error(StoreError::Server(404))),
        (404, "{}", No::Error(StoreError::Server(404))),
        (404, r#"{"data":null}"#, No::Error(StoreError::Server(404))),
        (405, "", No::Unsupported),
        (403, r#"{"errors":["permission denied"]}"#, No::Denied),
        (403, "", No::Denied),
        (503, r#"{"errors":["Vault is sealed"]}"#, No::Unavailable),
        (429, "", No::Error(StoreError::RateLimited)),
        (500, "hunter2", No::Error(StoreError::Server(500))),
        (307, "", No::Error(StoreError::Server(307))),
        (204, "", No::Error(StoreError::Server(204))),
        (400, r#"{"errors":["hunter2"]}"#, No::Error(StoreError::Server(400))),
        (472, "", No::Error(StoreError::Server(472))),
        (473, "", No::Error(StoreError::Server(473))),
    ];
    for (status, body, expected) in cases {
        assert_eq!(no(StatusCode::from_u16(status).unwrap(), body.as_bytes()), expected, "{status} {body}");
    }
}

#[test]
fn the_engine_of_a_mount_is_told_apart() {
    let cases = [
        (r#"{"data":{"type":"kv","options":{"version":"2"}}}"#, Some(true)),
        (r#"{"data":{"type":"kv","options":{"version":"1"}}}"#, Some(false)),
        (r#"{"data":{"type":"kv","options":null}}"#, Some(false)),
        (r#"{"data":{"type":"transit"}}"#, Some(false)),
        ("nonsense", None),
    ];
    for (body, expected) in cases {
        assert_eq!(is_kv2(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_denial_by_policy_is_worded_unlike_a_bad_token() {
    let cases = [
        (r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#, true),
        (r#"{"errors":["permission denied"]}"#, false),
        (r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#, false),
        ("<html>", false),
    ];
    for (body, expected) in cases {
        assert_eq!(is_denied_by_policy(body.as_bytes()), expected, "{body}");
    }
}
