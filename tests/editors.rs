//! The Secret Manager tab as people see it, with all that stands behind it: browsers at the editors of both Node-REDs in pods
//! on a real node, the operator, its API server, the embedded store and `OpenBao`.
//!
//! What people do and see is in `plugin/test/cluster`; this brings up what they need.

mod stage;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use devcluster::{
    NodeBox, OpenBao, OpenBaoOptions,
    binaries::{self, Tool},
};
use serde_json::json;
use stage::{Operator, editors, hands::Hands, node_red};

const UP_LIMIT: Duration = Duration::from_mins(2);
const CHROMIUM: &str = "/usr/bin/chromium";

#[tokio::test(flavor = "multi_thread")]
async fn people_at_the_editors_of_both_node_reds_see_and_do_what_the_cluster_has() -> Result<()> {
    if !stage::is_root() {
        println!("SKIPPED: a node needs root");
        return Ok(());
    }
    let plugin = stage::root().join("plugin");
    ensure!(Path::new(CHROMIUM).exists(), "{CHROMIUM} is missing: apt-get install chromium");
    ensure!(plugin.join("node_modules").exists(), "plugin/node_modules is missing: make plugin/node_modules");
    let start = || {
        let node = NodeBox::builder().image_archive(node_red::image()?).image_archive(node_red::image_4()?).start()?;
        anyhow::Ok((node, OpenBao::start(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() })?))
    };
    let (node, bao) = tokio::task::spawn_blocking(start).await??;
    stage::install(&node)?;
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_spacesync"));
    let operator = Operator::start(&node, &binary, node.host_address(), "info,spacesync=debug")?;
    let client = stage::client(&node).await?;
    editors::raise(&client, &bao, UP_LIMIT).await?;

    let hands = Hands { node: (*node).clone(), binary, operator, bao }.serve()?;
    let world =
        json!({"kubectl": binaries::find(Tool::Kubectl)?, "kubeconfig": node.kubeconfig(), "hands": hands.port()});
    let mut people = Command::new("node");
    people.args(["test/run.js", "test/cluster"]).current_dir(&plugin);
    people.env("SPACESYNC_WORLD", world.to_string()).env("KUBECACHEDIR", node.dir().join("kubectl-cache"));
    node.tie(&mut people);
    let ended = tokio::task::spawn_blocking(move || people.status()).await??;
    ensure!(
        ended.success(),
        "see above; the operator's log ends with:\n{}",
        stage::last_words(&node.dir().join("operator.log"))
    );
    Ok(())
}
