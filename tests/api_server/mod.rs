//! One real API server for all tests of a binary, and the ways in which a user talks to it.
#![allow(dead_code, reason = "each binary uses a part of it")]

use std::{io::Write, process::Stdio, sync::LazyLock};

use devcluster::ControlPlane;

/// What kubectl answered.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What it printed, where it had to succeed.
    #[track_caller]
    pub fn done(self) -> String {
        assert!(self.ok, "{}", self.err);
        self.out
    }
}

/// Ends with the test binary, however that ends.
pub fn plane() -> &'static ControlPlane {
    static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| ControlPlane::start().expect("a control plane"));
    &PLANE
}

/// kubectl as a person uses it, with `input` on its standard input.
pub fn kubectl(line: &str, input: &str) -> Said {
    let mut child = plane()
        .kubectl_command()
        .expect("kubectl")
        .args(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    // kubectl may end before it has read everything; its own words say why.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("kubectl ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

/// Waits until kubectl knows a kind that was just installed, by its short name.
pub fn served(resource: &str) {
    let began = std::time::Instant::now();
    loop {
        // kubectl remembers which kinds there were.
        let _ = std::fs::remove_dir_all(plane().dir().join("kubectl-cache"));
        let said = kubectl(&format!("explain {resource}"), "");
        if said.ok {
            return;
        }
        assert!(began.elapsed().as_secs() < 30, "{}", said.err);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
