//! The commands and objects of docs/stores.md, as they stand there.

use std::{fs, path::Path, process::Command};

use devcluster::OpenBaoOptions;
use serde_json::json;

use super::vault::InVault;
use crate::world::World;

/// What stands in the fenced blocks of one language below a heading.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stores.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).expect("the heading");
    let fence = format!("```{language}\n");
    let begun = section.split(fence.as_str()).skip(1);
    let blocks: Vec<_> = begun.map(|block| block.split("```").next().unwrap().to_owned()).collect();
    assert!(!blocks.is_empty(), "{heading}: {language}");
    blocks
}

/// Runs the commands below a heading, with some words replaced by those of this test. Returns what they print.
fn run(vault: &InVault<'_>, heading: &str, instead: &[(&str, &str)]) -> String {
    let tools = vault.store.binary().parent().unwrap().display().to_string();
    let mut printed = String::new();
    for block in blocks(heading, "sh") {
        let script = instead.iter().fold(block, |script, (word, other)| {
            assert!(script.contains(word), "{word}");
            script.replace(word, other)
        });
        let done = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .env("PATH", format!("{tools}:{}", std::env::var("PATH").unwrap()))
            .env("HOME", World::shared().plane.dir())
            .env("BAO_ADDR", vault.store.url())
            .env("BAO_TOKEN", vault.store.root_token())
            .env("KUBECONFIG", World::shared().plane.kubeconfig())
            .output()
            .unwrap();
        assert!(done.status.success(), "{heading}: {}", String::from_utf8_lossy(&done.stderr));
        printed += &String::from_utf8_lossy(&done.stdout);
    }
    printed
}

/// The spec of the `SecretManager` below a heading, at the store of this test and under the tenant's name.
async fn apply(vault: &InVault<'_>, heading: &str, instead: &[(&str, &str)]) {
    let yaml = blocks(heading, "yaml").remove(0);
    let yaml = instead.iter().fold(yaml, |yaml, (word, other)| yaml.replace(word, other));
    let object: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    let mut spec = object["spec"].clone();
    assert_eq!(spec["openBao"]["address"], "https://openbao.openbao.svc:8200");
    spec["openBao"]["address"] = json!(vault.store.url());
    vault.tenant.manager(&vault.tenant.name, spec).await;
}

#[tokio::test]
async fn the_page_sets_up_a_login_by_service_account() {
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    run(&vault, "The policy", &[]);
    let (url, ca) = World::shared().api_server();
    // This OpenBao is outside of the cluster, so it is told what it would find in its pod.
    let reviewer = World::shared().token_of_operator();
    let config = format!("kubernetes_host={url} kubernetes_ca_cert='{ca}' token_reviewer_jwt={reviewer}");
    run(&vault, "Kubernetes", &[("kubernetes_host=https://kubernetes.default.svc", &config)]);
    apply(&vault, "Kubernetes", &[]).await;
    vault.synced(&[("A", "1")]).await;
    vault.until_manager("True/Reachable").await;
}

#[tokio::test]
async fn the_page_sets_up_a_login_by_app_role() {
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    run(&vault, "The policy", &[]);
    let secret = format!("openbao-app-role-{}", vault.tenant.name);
    let printed = run(&vault, "AppRole", &[("openbao-app-role", &secret)]);
    // It is printed without a newline, and then kubectl says what it did.
    let mut words = printed.lines().filter_map(|line| line.split("secret/").next());
    let role = words.find(|word| word.len() == 36).expect("a role ID");
    apply(&vault, "AppRole", &[("ROLE_ID", role), ("openbao-app-role", &secret)]).await;
    vault.synced(&[("A", "1")]).await;
    vault.until_manager("True/Reachable").await;
}
