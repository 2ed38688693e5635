//! The hands behind the stage: a test in another language has them do what it cannot do itself.
//!
//! One TCP connection for each thing to do: one line that says it, and one line of JSON that says what came of it, `{"done": …}`
//! or `{"error": …}`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use devcluster::{Node, OpenBao};
use serde_json::{Value as Json, json};

use super::{Operator, editors::VAULTED};

/// What they have a hold of.
pub struct Hands {
    pub node: Node,
    pub binary: PathBuf,
    pub operator: Operator,
    pub bao: OpenBao,
}

impl Hands {
    /// Serves until the process ends; returns where.
    pub fn serve(mut self) -> Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who asks and does not wait for the answer does not want it.
                let _ = self.answer(&stream);
            }
        });
        Ok(address)
    }

    fn answer(&mut self, mut stream: &TcpStream) -> Result<()> {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let answer = match self.act(line.trim_end()) {
            Ok(done) => json!({"done": done}),
            Err(error) => json!({"error": format!("{line}: {error:#}")}),
        };
        Ok(writeln!(stream, "{answer}")?)
    }

    fn act(&mut self, line: &str) -> Result<Json> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("operator", "stop") => self.operator.stop()?,
            ("operator", "start") => {
                let (binary, api) = (&self.binary, self.operator.api);
                self.operator = Operator::start_at(&self.node, binary, api, "info,spacesync=debug")?;
            }
            ("operator", "suspend") => self.operator.signal("STOP")?,
            ("operator", "resume") => self.operator.signal("CONT")?,
            ("operator", "metrics") => {
                let (_, text) = self.operator.get("/metrics").context("the operator does not answer")?;
                return Ok(text.into());
            }
            ("bao", "seal") => self.bao.seal()?,
            ("bao", "unseal") => self.bao.unseal()?,
            ("bao", "suspend") => self.bao.suspend()?,
            ("bao", "resume") => self.bao.resume()?,
            ("put", data) => {
                let version = self.bao.put_raw(&format!("spaces/{VAULTED}"), data)?;
                return Ok(version.into());
            }
            ("suspend", pod) => signal("STOP", pod)?,
            ("resume", pod) => signal("CONT", pod)?,
            _ => bail!("nobody knows how to"),
        }
        Ok(Json::Null)
    }
}

/// To all processes of a pod, by its UID.
fn signal(name: &str, pod: &str) -> Result<()> {
    let mut sent = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        let groups = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        // The kubelet's drivers write it with dashes or with underscores.
        if groups.replace('_', "-").contains(&format!("pod{pod}")) {
            ensure!(
                Command::new("kill").args([&format!("-{name}"), &pid]).status()?.success(),
                "no SIG{name} to {pid}"
            );
            sent += 1;
        }
    }
    ensure!(sent > 0, "no process of pod {pod}");
    Ok(())
}
