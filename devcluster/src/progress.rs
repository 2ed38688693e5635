//! Long steps that are done once, with a line now and then that says what is going on.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const FIRST_WORD: Duration = Duration::from_secs(2);
const NEXT_WORD: Duration = Duration::from_secs(5);

/// Runs `command` to its end; `so_far` adds what can be told about the progress. Its output goes to `log`, and the end
/// of it into the error.
pub(crate) fn run(what: &str, command: &mut Command, log: &Path, so_far: impl Fn() -> String) -> Result<()> {
    let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let program = command.get_program().display().to_string();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let begun = Instant::now();
    let mut next = FIRST_WORD;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() >= next {
            eprintln!("{what}: {} s{}", begun.elapsed().as_secs(), so_far());
            next += NEXT_WORD;
        }
        thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        bail!("{what} failed ({status}):\n{}", tail(log));
    }
    if begun.elapsed() >= FIRST_WORD {
        eprintln!("{what}: done in {} s", begun.elapsed().as_secs());
    }
    Ok(())
}

/// The last lines of a log, which is where the reason stands.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
