//! The chart on a real node: installed, upgraded, its leader killed, uninstalled and installed again, and through all of it
//! flows keep their secrets.

mod stage;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devcluster::{Node, NodeBox};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use stage::{
    SYSTEM,
    acked::{Acked, NAMESPACE},
    light_runtime, operator_image, pods, release,
    runtime::Runtime,
};

const LIMIT: Duration = Duration::from_mins(1);
const PODS: usize = 2;

fn operator_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_spacesync"))
}

#[test]
fn the_image_holds_the_program_what_it_is_linked_to_certificates_and_a_user_and_no_shell() -> Result<()> {
    let archive = operator_image::archive(operator_binary())?;
    let shell = |script: &str| -> Result<String> {
        let out = Command::new("sh").args(["-euc", script, "sh"]).arg(&archive).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    };
    let listed = shell(r#"tar -xOf "$1" --wildcards '*/layer.tar' | tar -t"#)?;
    let files = listed.lines().filter(|name| !name.ends_with('/'));
    let (libraries, mut others): (Vec<&str>, Vec<&str>) = files.partition(|name| name.contains(".so."));
    let wanted =
        ["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/bin/spacesync"];
    others.sort_unstable();
    assert_eq!(others, wanted);
    assert!((2..=4).contains(&libraries.len()), "{libraries:?}");

    let config: Json = serde_json::from_str(&shell(r#"tar -xOf "$1" --wildcards --exclude=manifest.json '*.json'"#)?)?;
    assert_eq!(config["config"], json!({"User": "65532:65532", "Entrypoint": ["/usr/bin/spacesync"]}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_keep_their_secrets_through_install_upgrade_a_killed_leader_uninstall_and_install() -> Result<()> {
    if !stage::is_root() {
        println!("SKIPPED: a node needs root");
        return Ok(());
    }
    let start = || {
        let operator = operator_image::archive(operator_binary())?;
        NodeBox::builder().services().image_archive(light_runtime::image()?).image_archive(operator).start()
    };
    let node = tokio::task::spawn_blocking(start).await??;
    let client = stage::client(&node).await?;
    let told = tell(&node, client).await;
    if told.is_err() {
        println!("{}", release::last_words(&node));
    }
    told
}

async fn tell(node: &Node, client: Client) -> Result<()> {
    timed("install", || release::install(node))?;
    let runtime = light_runtime::runtime(PODS);
    let mut flows = Acked::raise(client.clone(), runtime, LIMIT).await?;
    flows.round().await?;
    let secret = managed(&client).await?;

    timed("upgrade", || release::upgrade(node, "podAnnotations.example\\.org/changed=yes"))?;
    let replicas = node.kubectl(&["get", "pods", "-n", SYSTEM, "-o", "jsonpath={.items[*].metadata.annotations}"])?;
    assert_eq!(replicas.matches(r#""example.org/changed":"yes""#).count(), 2, "{replicas}");
    assert_eq!(managed(&client).await?, secret, "the upgrade wrote the managed Secret");
    flows.round().await?;

    let first = leader(&client).await?;
    kill(node, &first)?;
    let began = Instant::now();
    while leader(&client).await? == first {
        ensure!(began.elapsed() < LIMIT, "nobody succeeds {first}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("take-over after {:.1} s", began.elapsed().as_secs_f64());
    flows.round().await?;
    flows.is_unharmed().await?;

    let (secret, version) = (managed(&client).await?, flows.version());
    timed("uninstall", || release::uninstall(node))?;
    everything_stays(node)?;
    // One that starts while there is no operator has its files too.
    node.kubectl(&["scale", "deployment/app", "-n", NAMESPACE, &format!("--replicas={}", PODS + 1)])?;
    let all = pods::running(&client, NAMESPACE, PODS + 1, LIMIT).await?;
    reads(&runtime, &all, version).await?;
    assert_eq!(managed(&client).await?, secret, "the uninstall wrote the managed Secret");

    let seen = writes(node)?.len();
    timed("install again", || release::install(node))?;
    flows.delivered_to(PODS + 1, LIMIT).await?;
    assert_eq!(writes(node)?[seen..], [""; 0], "what the second install wrote");
    assert_eq!(managed(&client).await?, secret);
    reads(&runtime, &all, version).await?;
    flows.round().await?;
    Ok(())
}

fn timed(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    tokio::task::block_in_place(work).with_context(|| what.to_owned())?;
    println!("{what} in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// What would be another after any write.
async fn managed(client: &Client) -> Result<(Option<String>, Option<String>)> {
    let metadata = Api::<Secret>::namespaced(client.clone(), NAMESPACE).get("secrets").await?.metadata;
    Ok((metadata.uid, metadata.resource_version))
}

async fn leader(client: &Client) -> Result<String> {
    let lease = Api::<Lease>::namespaced(client.clone(), SYSTEM).get("spacesync").await?;
    lease.spec.and_then(|spec| spec.holder_identity).context("nobody holds the lease")
}

/// Kills the process of a replica, which has no time to give the lease back. Its identity begins with the name of its pod.
fn kill(node: &Node, identity: &str) -> Result<()> {
    let pod = identity.split('_').next().unwrap_or_default();
    let uid = node.kubectl(&["get", "pod", pod, "-n", SYSTEM, "-o", "jsonpath={.metadata.uid}"])?;
    let script = format!(
        "for p in /proc/[0-9]*; do \
             grep -q spacesync $p/comm && grep -q {uid} $p/cgroup && kill -KILL ${{p#/proc/}} && exit 0; \
         done; exit 1"
    );
    node.exec_in_box("sh", &["-c", &script]).context("no process of the leader's pod was found")?;
    Ok(())
}

/// Definitions, all that was made of them, and what flows read.
fn everything_stays(node: &Node) -> Result<()> {
    let left = node.kubectl(&["get", "all,serviceaccounts", "-n", SYSTEM, "-o", "name"])?;
    assert_eq!(left.trim(), "serviceaccount/default", "what the uninstall left in its namespace");
    let roles = node.kubectl(&["get", "clusterroles,validatingadmissionpolicies", "-o", "name"])?;
    assert!(!roles.contains("spacesync"), "{roles}");
    let crds = node.kubectl(&["get", "crds", "-o", "name"])?;
    assert_eq!(crds.lines().count(), 4, "{crds}");
    for object in ["sss/secrets", "flowapp/app", "secret/secrets"] {
        node.kubectl(&["get", object, "-n", NAMESPACE])?;
    }
    for object in ["space/flows", "secretmanager/embedded"] {
        node.kubectl(&["get", object])?;
    }
    Ok(())
}

async fn reads(runtime: &Runtime, all: &[pods::PodRef], version: u64) -> Result<()> {
    // A pod runs a moment before its program answers.
    let began = Instant::now();
    while let Err(error) = runtime.reads(all, version) {
        ensure!(began.elapsed() < LIMIT, "{error:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Every write of managed Secrets so far, by whomever.
fn writes(node: &Node) -> Result<Vec<String>> {
    let is_write = |entry: &Json| {
        let of = &entry["objectRef"];
        of["resource"] == "secrets"
            && of["namespace"] == NAMESPACE
            && !["get", "list", "watch"].map(Json::from).contains(&entry["verb"])
    };
    let entries = node.audit_entries()?.into_iter().filter(is_write);
    Ok(entries
        .map(|entry| format!("{} {} by {}", entry["verb"], entry["requestURI"], entry["user"]["username"]))
        .collect())
}
