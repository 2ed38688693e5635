//! The chart on a real node: installed, upgraded, its leader killed, uninstalled and installed again, and through all of it
//! flows keep their secrets.

mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devcluster::{
    Node, NodeBox,
    binaries::{self, Tool},
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use stage::{
    SYSTEM,
    acked::{Acked, NAMESPACE},
    asked::Asked,
    light_runtime, operator_image, pods, release,
    runtime::Runtime,
};

const LIMIT: Duration = Duration::from_mins(1);
const PODS: usize = 2;
const SHORT_NAMES: &str = "jsonpath={.spec.names.shortNames}";
const UID: &str = "jsonpath={.metadata.uid}";

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

/// There is no engine here that could run it, so it is read.
#[test]
fn the_dockerfile_puts_the_same_into_it_and_its_build_has_all_that_it_reads() -> Result<()> {
    let text = |path: &str| fs::read_to_string(stage::root().join(path)).with_context(|| path.to_owned());
    let dockerfile = text("Dockerfile")?;
    let (build, image) = dockerfile.split_once("FROM scratch\n").context("it is not built on nothing")?;
    let toolchain = text("rust-toolchain.toml")?;
    let rust = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).context("a channel")?;
    assert!(build.contains(&format!("FROM rust:{}-slim-", rust.trim_matches('"'))), "another Rust than {rust}");
    let gathered =
        format!("$(ldd target/release/spacesync | grep -o '/[^ ]*') {} /image\n", operator_image::CERTIFICATES);
    assert!(build.contains(&gathered), "{build}");
    let copied: Vec<&str> = image.lines().filter(|line| line.starts_with("COPY ")).collect();
    let program = format!("COPY --from=build /spacesync/target/release/spacesync {}", operator_image::PROGRAM);
    assert_eq!(copied, ["COPY --from=build /image /", "COPY image/etc /etc", &program]);

    let ignored = text(".dockerignore")?;
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let manifest = text("Cargo.toml")?;
    let members = manifest.lines().find(|line| line.starts_with("members = ")).context("members")?.split('"');
    let benches = manifest.contains("[[bench]]").then_some("benches").into_iter();
    let sources = sources()?;
    assert!(sources.contains("src/lib.rs"), "{sources}");
    for path in members.skip(1).step_by(2).chain(benches).chain(sources.split_whitespace()).chain([
        "Cargo.toml",
        "Cargo.lock",
        "image",
    ]) {
        let first = path.split('/').next().unwrap_or_default();
        assert!(sent.contains(&first), "{path} is read by the build, and .dockerignore keeps it out");
    }
    Ok(())
}

/// What the compiler read last to make the program, test code aside; not only *.rs.
fn sources() -> Result<String> {
    let folder = operator_binary().with_file_name("deps");
    let mut found = Vec::new();
    for file in fs::read_dir(&folder)? {
        let path = file?.path();
        let ours = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"spacesync-"));
        if ours && path.extension().is_some_and(|extension| extension == "d") {
            let text = fs::read_to_string(&path)?;
            // The library that was built, neither checked only nor the program of its tests. What was read stands there as
            // `FILE:`.
            if text.lines().any(|line| line.contains("/libspacesync-") && line.contains(".rlib:")) {
                let read = text.lines().filter_map(|line| line.strip_suffix(':')).collect::<Vec<_>>().join("\n");
                found.push((fs::metadata(&path)?.modified()?, read));
            }
        }
    }
    let newest = found.into_iter().max_by_key(|(at, _)| *at);
    Ok(newest.with_context(|| format!("no library in {}", folder.display()))?.1)
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
    let older = older_chart(node.dir())?;
    let said = timed("install of an older one", || release::install_from(node, &older))?;
    is_confined(node)?;
    follow(node, &said)?;
    let runtime = light_runtime::runtime(PODS);
    let mut flows = Acked::raise(client.clone(), runtime, LIMIT).await?;
    flows.round().await?;
    let secret = managed(&client).await?;

    let definition = |field: &str| node.kubectl(&["get", "crd", "flowapps.spacesync.dev", "-o", field]);
    assert_eq!(definition(SHORT_NAMES)?, "", "the older one knows the short name");
    let uid = definition(UID)?;
    let before = node.kubectl(&["get", "pods", "-n", SYSTEM, "-o", "name"])?;
    let asked = Asked::start(node)?;
    timed("upgrade", || release::upgrade(node, "podAnnotations.example\\.org/changed=yes"))?;
    // Helm does not wait for the old ones to go.
    let gone = ["wait", "--for=delete", "-n", SYSTEM, "--timeout=1m"].into_iter();
    node.kubectl(&gone.chain(before.lines()).collect::<Vec<_>>())?;
    let asked = asked.was_always_answered()?;
    assert!(asked > 100, "the pods' API was asked only {asked} times");
    println!("the pods' API was asked {asked} times, each over a new connection, and answered each time");
    assert_eq!(definition(SHORT_NAMES)?, r#"["fa"]"#, "the definition is as old as before");
    assert_eq!(definition(UID)?, uid, "another definition, and its objects are gone");
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

    timed("uninstall", || release::uninstall(node))?;
    node.kubectl(&["apply", "--server-side", "-k", &stage::root().join("deploy").to_string_lossy()])?;
    // A Service keeps the address that it has, and here it must have another.
    node.kubectl(&["delete", "service/spacesync", "-n", SYSTEM])?;
    timed("take-over from kubectl", || release::take_over(node))?;
    flows.round().await?;
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    let done = tokio::task::block_in_place(work).with_context(|| what.to_owned())?;
    println!("{what} in {:.1} s", began.elapsed().as_secs_f64());
    Ok(done)
}

/// The chart as it might have been: a definition has no short name yet.
fn older_chart(dir: &Path) -> Result<PathBuf> {
    let older = dir.join("older-chart");
    let copied = Command::new("cp").arg("-r").arg(release::chart()).arg(&older).status()?;
    ensure!(copied.success(), "the chart could not be copied");
    let path = older.join("files/crds/flowapps.yaml");
    let now = fs::read_to_string(&path)?;
    let before = now.replace("    shortNames:\n    - fa\n", "");
    ensure!(before != now, "there is no short name to leave out");
    fs::write(path, before)?;
    Ok(older)
}

/// Each replica as the kernel has it: nobody's user, no capability and no way to one, system calls filtered, and a root that it
/// cannot write.
fn is_confined(node: &Node) -> Result<()> {
    let script = r#"for p in /proc/[0-9]*; do
        [ "$(cat $p/comm 2>/dev/null)" = spacesync ] || continue
        grep -E '^(Uid|Gid|CapEff|CapBnd|NoNewPrivs|Seccomp):' $p/status
        awk '$2 == "/" {print "root:", substr($4, 1, 3)}' $p/mounts
    done"#;
    let said = node.exec_in_box("sh", &["-c", script])?;
    let mut seen: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(':')).collect();
    for (_, value) in &mut seen {
        *value = value.split_whitespace().next().unwrap_or_default();
    }
    let nothing = "0000000000000000";
    let each = [
        ("CapBnd", nothing),
        ("CapEff", nothing),
        ("Gid", "65532"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Uid", "65532"),
        ("root", "ro,"),
    ];
    let wanted: Vec<(&str, &str)> = each.into_iter().flat_map(|one| [one, one]).collect();
    seen.sort_unstable();
    assert_eq!(seen, wanted, "of two replicas");
    Ok(())
}

/// Does to the letter what `helm install` says is to be done next, and looks at what comes of it.
fn follow(node: &Node, said: &str) -> Result<()> {
    // A command goes to the end of its line, or to that of what it reads.
    let (mut commands, mut end) = (String::new(), None);
    for line in said.lines() {
        match end {
            None if !line.starts_with("kubectl ") => continue,
            None => end = line.split_once("<<").map(|(_, word)| word),
            Some(word) if word == line => end = None,
            Some(_) => {}
        }
        commands.extend([line, "\n"]);
    }
    let kubectl = binaries::find(Tool::Kubectl)?;
    let path = [kubectl.parent().context("a folder")?.to_string_lossy().into_owned(), std::env::var("PATH")?].join(":");
    let mut shell = Command::new("sh");
    let shell = shell.args(["-euxc", &commands]).env("PATH", path).env("KUBECONFIG", node.kubeconfig());
    let out = tokio::task::block_in_place(|| shell.output())?;
    ensure!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    let template = "go-template={{.data.MY_API_TOKEN | base64decode}}";
    let brought = node.kubectl(&["get", "secret", "secrets", "-n", "newsroom-dev", "-o", template])?;
    assert_eq!(brought, "change-me", "{said}");
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
