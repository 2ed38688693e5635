//! OpenBao from end to end.

use std::time::Instant;

use anyhow::Result;
use devcluster::{OpenBao, OpenBaoOptions, Storage};
use serde_json::json;

fn started(options: OpenBaoOptions) -> Result<OpenBao> {
    let begun = Instant::now();
    let bao = OpenBao::start(options)?;
    println!("{options:?}: ready in {:.2} s", begun.elapsed().as_secs_f64());
    Ok(bao)
}

#[test]
fn an_entry_lives_through_its_versions() -> Result<()> {
    let bao = started(OpenBaoOptions::default())?;
    assert_eq!(bao.put("spaces/a", json!({"user": "ada"}))?, 1);
    assert_eq!(bao.put_raw("spaces/a", r#"{"user": "ada", "port": 5432}"#)?, 2);
    let port =
        |bao: &OpenBao| bao.request("GET", "secret/data/spaces/a", None).map(|a| a["data"]["data"]["port"].clone());
    assert_eq!(port(&bao)?, 5432);
    bao.delete("spaces/a")?;
    assert!(port(&bao).expect_err("deleted").to_string().contains("404"));
    bao.undelete("spaces/a", &[2])?;
    assert_eq!(port(&bao)?, 5432);
    bao.destroy("spaces/a", &[2])?;
    assert!(port(&bao).is_err());
    bao.delete_metadata("spaces/a")?;
    assert_eq!(bao.put("spaces/a", json!({}))?, 1);
    Ok(())
}

#[test]
fn tls_is_trusted_with_its_authority_only() -> Result<()> {
    let bao = started(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() })?;
    assert!(bao.url().starts_with("https://"));
    assert!(bao.ca_pem().expect("a CA").contains("BEGIN CERTIFICATE"));
    assert!(bao.ca_file().expect("a CA file").is_file());
    bao.put("spaces/a", json!({"user": "ada"}))?;
    let stranger = ureq::get(format!("{}/v1/sys/health", bao.url())).call();
    assert!(stranger.expect_err("not trusted").to_string().contains("certificate"));
    Ok(())
}

#[test]
fn a_sealed_store_answers_nothing_until_it_is_unsealed() -> Result<()> {
    let bao = started(OpenBaoOptions::default())?;
    bao.put("spaces/a", json!({"user": "ada"}))?;
    bao.seal()?;
    let refused = bao.request("GET", "secret/data/spaces/a", None).expect_err("sealed");
    assert!(refused.to_string().contains("503"), "{refused}");
    bao.unseal()?;
    bao.request("GET", "secret/data/spaces/a", None)?;
    Ok(())
}

#[test]
fn a_token_reads_only_what_its_policy_names_and_the_audit_log_counts_it() -> Result<()> {
    let bao = started(OpenBaoOptions::default())?;
    bao.put("spaces/a", json!({"user": "a-canary-value"}))?;
    bao.put("other/b", json!({"user": "ada"}))?;
    let token = bao.token_with_policy(r#"path "secret/data/spaces/*" { capabilities = ["read"] }"#)?;
    let read = |path: &str| {
        ureq::get(format!("{}/v1/secret/data/{path}", bao.url())).header("x-vault-token", &token).call().is_ok()
    };
    let before = bao.requests()?.len();
    assert!(read("spaces/a") && read("spaces/a"));
    assert!(!read("other/b"));
    let asked = bao.requests()?.split_off(before);
    let expected = ["spaces/a", "spaces/a", "other/b"].map(|path| ("read".to_owned(), format!("secret/data/{path}")));
    assert_eq!(asked, expected);
    bao.revoke(&token)?;
    assert!(!read("spaces/a"));
    assert!(!std::fs::read_to_string(bao.audit_log())?.contains("a-canary-value"), "values are hashed");
    Ok(())
}

#[test]
fn entries_on_disk_outlive_a_restart_and_entries_in_memory_say_that_they_do_not() -> Result<()> {
    let mut bao = started(OpenBaoOptions { storage: Storage::Raft, tls: true, ..OpenBaoOptions::default() })?;
    bao.put("spaces/a", json!({"user": "ada"}))?;
    bao.stop();
    assert!(bao.request("GET", "secret/data/spaces/a", None).is_err());
    bao.start_again()?;
    assert_eq!(bao.request("GET", "secret/data/spaces/a", None)?["data"]["data"]["user"], "ada");

    let mut forgetful = started(OpenBaoOptions::default())?;
    assert!(forgetful.start_again().expect_err("refused").to_string().contains("Storage::Raft"));
    Ok(())
}

#[test]
fn a_suspended_store_is_silent_and_goes_on() -> Result<()> {
    let bao = started(OpenBaoOptions::default())?;
    bao.suspend()?;
    let quick = ureq::Agent::config_builder().timeout_global(Some(std::time::Duration::from_millis(300))).build();
    let health = format!("{}/v1/sys/health", bao.url());
    let silent = ureq::Agent::new_with_config(quick).get(&health).call().expect_err("no answer");
    assert!(silent.to_string().contains("timeout"), "{silent}");
    bao.resume()?;
    ureq::get(&health).call()?;
    Ok(())
}
