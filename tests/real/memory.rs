//! What a crash writes down, and what stays in memory after a sync.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use devcluster::AuditLevel;
use serde_json::json;

use crate::{scan::Canary, world::World};

/// Everything that a process may write to and so could hold a value in, as text.
fn memory_of(pid: u32) -> String {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let range = line.split_whitespace().next().and_then(|range| range.split_once('-')).expect("a range");
        let [from, to] = [range.0, range.1].map(|hex| u64::from_str_radix(hex, 16).expect("hexadecimal"));
        let mut part = vec![0; usize::try_from(to - from).expect("it fits")];
        // One that went meanwhile holds nothing any more.
        if memory.read_exact_at(&mut part, from).is_ok() {
            all.extend(part);
        }
    }
    // What the scan looks for is ASCII.
    String::from_utf8_lossy(&all).into_owned()
}

/// Lets whatever is started from here on write down all that it holds, as `ulimit -c unlimited` does.
fn let_cores_come() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Core);
    limit.current = limit.maximum;
    setrlimit(Resource::Core, limit).expect("what may be had");
}

/// Gives a process that limited itself its cores back, where root may.
fn raise(pid: u32) {
    let raised = Command::new("prlimit").args(["--pid", &pid.to_string(), "--core=unlimited:unlimited"]).status();
    println!("raised again from outside: {}", raised.is_ok_and(|status| status.success()));
}

fn core_in(folder: &Path) -> Option<String> {
    let files = std::fs::read_dir(folder).expect("the folder").flatten();
    let mut cores = files.filter(|file| file.file_name().to_string_lossy().starts_with("core"));
    cores.next().map(|file| String::from_utf8_lossy(&std::fs::read(file.path()).expect("a core")).into_owned())
}

fn crashed(status: ExitStatus) -> (Option<i32>, bool) {
    (status.signal(), status.core_dumped())
}

const ABORTED: Option<i32> = Some(6);

/// Reading the memory of one that protects itself is root's.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Where cores go is the kernel's to say: to a file in the folder of the process, elsewhere, or into a pipe.
fn cores_come_to_the_folder() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/core_pattern").is_ok_and(|pattern| pattern.starts_with("core"))
}

fn left_out(what: &str, needs: &str) {
    println!("left out: {what}; it needs {needs}");
}

/// A process that does not protect itself is found in its core, or at least in its memory: what the scan does not find
/// of the operator is not there.
fn a_crash_of_another_leaves_a_core(folder: &Path) {
    let planted = Canary::new();
    std::fs::create_dir(folder).expect("a folder");
    let mut sleeper =
        Command::new("sleep").arg("60").env("PLANTED", planted.text()).current_dir(folder).spawn().unwrap();
    if is_root() {
        assert!(planted.find(&memory_of(sleeper.id())).is_some(), "not in its memory");
    } else {
        left_out("whether the scan sees a value in the memory of another", "root");
    }
    let _ = Command::new("kill").args(["-ABRT", &sleeper.id().to_string()]).status();
    let (signal, dumped) = crashed(sleeper.wait().unwrap());
    assert_eq!(signal, ABORTED);
    if !dumped {
        left_out("whether a crash of another leaves a core", "a kernel and a limit that let one be made");
    } else if cores_come_to_the_folder() {
        assert!(planted.find(&core_in(folder).expect("a core")).is_some(), "the scan does not see it in a core");
    } else {
        left_out("what is in the core of another", "a core_pattern that leads to the folder of the process");
    }
}

#[tokio::test]
async fn a_crash_leaves_no_core_to_read_a_value_from() {
    let_cores_come();
    let world = World::start(AuditLevel::Metadata);
    a_crash_of_another_leaves_a_core(&world.plane.dir().join("planted"));
    let mut operator = world.operator(&[]);
    let canary = Canary::new();
    let tenant = world.tenant(&[("TEXT", &canary.text())]).await;
    tenant.sync(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid())).unwrap();
    let of_core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(of_core.split_whitespace().filter(|word| *word == "0").count(), 2, "{of_core}");
    if !is_root() {
        let memory = std::fs::File::open(format!("/proc/{}/mem", operator.pid()));
        assert!(memory.is_err(), "who is not root reads its memory");
        left_out("whether a limit that is raised again gives it a core", "root");
    }
    // Not even where somebody raises it again.
    raise(operator.pid());
    operator.signal("ABRT");
    assert_eq!(crashed(operator.wait()), (ABORTED, false));
    assert_eq!(core_in(world.plane.dir()), None);
}

#[tokio::test]
async fn a_second_after_a_sync_no_value_is_left_in_memory_as_it_is() {
    if !is_root() {
        left_out("what is left in the operator's memory", "root, whom alone it lets look");
        return;
    }
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let canary = Canary::new();
    let tenant = world.tenant(&[("TEXT", &canary.text())]).await;
    tenant.sync(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let memory = memory_of(operator.pid());
    let (plain, base64) = canary.copies(&memory);
    println!(
        "copies of a value a second after its sync, in {} bytes: {plain} as it is, {base64} in base64",
        memory.len()
    );
    // What base64 is left stands in buffers of HTTP and TLS, which are not ours to zero: at most what one write and its
    // answer go through.
    assert_eq!(plain, 0);
    assert!(base64 <= 4, "{base64} copies in base64");
}
