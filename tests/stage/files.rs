//! When a file stands, seen from the host in the kubelet's own folder.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Short against what is measured, and cheap: a read of a file in memory.
const POLL: Duration = Duration::from_millis(2);

/// Waits until every file holds `wanted`; says when each did, as time since `since`. One thread a file.
pub fn stand(files: &[PathBuf], wanted: &str, since: Instant, limit: Duration) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let watches: Vec<_> = files.iter().map(|file| scope.spawn(move || one(file, wanted, since, limit))).collect();
        watches.into_iter().map(|watch| watch.join().expect("it does not panic")).collect()
    })
}

fn one(file: &PathBuf, wanted: &str, since: Instant, limit: Duration) -> Result<Duration> {
    loop {
        let seen = fs::read_to_string(file);
        if seen.as_ref().is_ok_and(|seen| seen == wanted) {
            return Ok(since.elapsed());
        }
        if since.elapsed() > limit {
            let seen = seen.with_context(|| format!("{} cannot be read", file.display()))?;
            bail!("{}: expected {wanted:?} within {limit:?}, seen {seen:?}", file.display());
        }
        thread::sleep(POLL);
    }
}
