//! A node in a box from end to end. Without root there is nothing to test, and the tests say so.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use devcluster::{Image, Layer, NodeBox};

const POD: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: space, namespace: default}
stringData: {greeting: hello}
---
apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: reader
    image: localhost/busybox:1
    command: [sh, -c, "echo up; exec sleep 1000000"]
    volumeMounts: [{name: space, mountPath: /space}]
  volumes:
  - name: space
    projected: {sources: [{secret: {name: space}}]}
"#;

const LAYERED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: layered, namespace: default}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true}
  containers: [{name: layered, image: "localhost/layered:1"}]
"#;

const SERVED: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: served, namespace: default}
spec:
  clusterIP: 10.96.0.80
  selector: {app: served}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: served, namespace: default, labels: {app: served}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: served
    image: localhost/busybox:1
    command: [sh, -c, "echo hello > /tmp/greeting; exec httpd -f -p 8080 -h /tmp"]
---
apiVersion: v1
kind: Pod
metadata: {name: asks, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: asks, image: "localhost/busybox:1", command: [sleep, "1000000"]}]
"#;

/// Busybox with a folder, and a program that needs libraries which busybox has not.
fn layered() -> Layer {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let entrypoint = ["sh", "-c", "id -u; /sed --version | head -n 1; ls /tests"];
    Layer::on(Image::Busybox, "layered")
        .put("/tests", folder)
        .program("/sed", "/bin/sed")
        .config(serde_json::json!({"User": "1000:1000", "Entrypoint": entrypoint}))
}

fn root() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if !root {
        println!("SKIPPED: a node needs root");
    }
    root
}

fn started() -> Result<NodeBox> {
    let image = layered().archive()?;
    let begun = Instant::now();
    let node = NodeBox::builder().image_archive(image).start()?;
    println!("ready in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(node)
}

/// The name of the box's cgroup, and the beginning of its devices'.
fn name(node: &NodeBox) -> String {
    node.dir().file_name().and_then(|name| name.to_str()).expect("a name").replace("node-", "dc")
}

/// What a box leaves on the host when something goes wrong: cgroups and network devices with its name.
fn traces(name: &str) -> Vec<String> {
    let found = |program: &str, args: &[&str]| {
        let out = Command::new(program).args(args).output().expect("a program of every Linux");
        String::from_utf8_lossy(&out.stdout).lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
    };
    let cgroups: Vec<String> = found("find", &["/sys/fs/cgroup", "-name", name]);
    let devices: Vec<String> = found("ip", &["-o", "link"]);
    [cgroups, devices].concat()
}

#[test]
fn with_services_a_pod_reaches_another_one_itself_and_the_api_server_by_their_addresses() -> Result<()> {
    if !root() {
        return Ok(());
    }
    let node = NodeBox::builder().services().start()?;
    // As on a machine whose kernel does not filter what crosses a bridge. It is a setting of the box only.
    let unfiltered = "f=/proc/sys/net/bridge/bridge-nf-call-iptables; if [ -e $f ]; then echo 0 > $f; fi";
    node.exec_in_box("sh", &["-c", unfiltered])?;
    node.apply(SERVED)?;
    node.kubectl(&["wait", "--for=condition=Ready", "pod/served", "pod/asks", "--timeout=30s"])?;
    for pod in ["asks", "served"] {
        let ask = "printf 'GET /greeting HTTP/1.0\\r\\n\\r\\n' | nc -w 5 10.96.0.80 80";
        let begun = Instant::now();
        // A pod is ready a moment before its service knows.
        let mut answer = String::new();
        while !answer.ends_with("hello\n") {
            assert!(begun.elapsed() < Duration::from_secs(20), "{pod} hears {answer:?}");
            answer = node.kubectl(&["exec", pod, "--", "sh", "-c", ask]).unwrap_or_else(|error| format!("{error:#}"));
        }
    }
    node.kubectl(&["exec", "asks", "--", "sh", "-c", "nc -w 5 10.96.0.1 443 < /dev/null"])?;
    Ok(())
}

#[test]
fn a_pod_runs_and_its_files_and_logs_can_be_read_and_the_box_is_gone_after_drop() -> Result<()> {
    if !root() {
        return Ok(());
    }
    let node = started()?;
    node.apply(POD)?;
    node.kubectl(&["wait", "--for=condition=Ready", "pod/reader", "--timeout=30s"])?;
    assert_eq!(node.kubectl(&["exec", "reader", "--", "cat", "/space/greeting"])?, "hello");
    assert_eq!(node.kubectl(&["logs", "reader"])?, "up\n");

    let uid = node.kubectl(&["get", "pod", "reader", "-o", "jsonpath={.metadata.uid}"])?;
    let file = node.pod_volume_dir(&uid, "space").join("greeting");
    assert_eq!(fs::read_to_string(&file)?, "hello");
    let begun = Instant::now();
    node.kubectl(&["patch", "secret", "space", "--patch", r#"{"stringData": {"greeting": "goodbye"}}"#])?;
    node.kubectl(&["annotate", "pod", "reader", "nudge=1"])?;
    while fs::read_to_string(&file)? != "goodbye" {
        assert!(begun.elapsed() < Duration::from_secs(10), "the kubelet refreshes an annotated pod at once");
        thread::sleep(Duration::from_millis(5));
    }
    println!("two kubectl and the new value in the pod: {:.2} s", begun.elapsed().as_secs_f64());

    node.apply(LAYERED)?;
    node.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/layered", "--timeout=30s"])?;
    let said = node.kubectl(&["logs", "layered"])?;
    assert!(said.starts_with("1000\n/sed (GNU sed)") && said.contains("node_box.rs"), "{said}");

    assert!(node.exec_in_box("ctr", &["-n", "k8s.io", "images", "ls", "-q"])?.contains("localhost/busybox:1"));
    assert!(node.audit_entries()?.iter().any(|entry| entry["user"]["username"] == "system:node:node"));

    assert!(!traces(&name(&node)).is_empty());
    let (dir, init) = (node.dir().to_owned(), node.init_pid());
    let name = name(&node);
    let begun = Instant::now();
    drop(node);
    println!("gone in {:.2} s", begun.elapsed().as_secs_f64());
    assert!(!dir.exists());
    // A process that nobody has waited for yet has no program any more.
    assert!(fs::read_link(format!("/proc/{init}/exe")).is_err());
    assert_eq!(traces(&name), [""; 0]);
    Ok(())
}

#[test]
fn two_boxes_at_once_do_not_collide_and_pods_reach_the_host() -> Result<()> {
    if !root() {
        return Ok(());
    }
    let starts: Vec<_> = (0..2).map(|_| thread::spawn(started)).collect();
    let nodes: Vec<NodeBox> = starts.into_iter().map(|s| s.join().expect("no panic")).collect::<Result<_>>()?;
    assert_ne!(nodes[0].host_address(), nodes[1].host_address());
    for node in &nodes {
        node.apply(POD)?;
    }
    for node in &nodes {
        node.kubectl(&["wait", "--for=condition=Ready", "pod/reader", "--timeout=30s"])?;
        let listener = std::net::TcpListener::bind((node.host_address(), 0))?;
        let port = listener.local_addr()?.port().to_string();
        let host = node.host_address().to_string();
        let pod = thread::spawn(move || listener.accept().map(|(_, from)| from.ip().to_string()));
        node.kubectl(&["exec", "reader", "--", "sh", "-c", &format!("echo | nc -w 3 {host} {port}")])?;
        let seen = pod.join().expect("no panic")?;
        assert_eq!(seen, node.kubectl(&["get", "pod", "reader", "-o", "jsonpath={.status.podIP}"])?);
    }
    Ok(())
}
