//! How the story is told: one aligned line a step, and a word now and then while one takes long.

use std::{
    fmt::Debug,
    io::Write,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

const WIDTH: usize = 88;
const FIRST_WORD: Duration = Duration::from_secs(3);

/// A heading.
pub fn chapter(title: &str) {
    println!("\n{title}");
}

/// Does a step and says how long it took.
pub async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let _patience = Patience::with(what);
    let began = Instant::now();
    // Boxed, because steps hold steps.
    let done = Box::pin(work).await?;
    seen(what, began.elapsed());
    Ok(done)
}

/// A step whose time was taken elsewhere.
pub fn seen(what: &str, took: Duration) {
    println!("  {what:<WIDTH$} {:>8.0} ms", took.as_secs_f64() * 1000.0);
    let _ = std::io::stdout().flush();
}

/// A line without a time.
pub fn say(what: &str) {
    println!("  {what}");
}

/// Says every few seconds what is waited for, until it is dropped.
pub struct Patience {
    _end: Sender<()>,
}

impl Patience {
    /// With whatever takes its time.
    pub fn with(what: &str) -> Self {
        let (end, ended) = mpsc::channel();
        let what = what.to_owned();
        thread::spawn(move || {
            let began = Instant::now();
            while ended.recv_timeout(FIRST_WORD) == Err(RecvTimeoutError::Timeout) {
                eprintln!("    … {what}: {} s", began.elapsed().as_secs());
            }
        });
        Self { _end: end }
    }
}

/// Fails, with both, where what was seen is not what was expected.
pub fn expect<T: PartialEq + Debug>(what: &str, expected: &T, seen: &T) -> Result<()> {
    if expected != seen {
        bail!("{what}: expected {expected:?}, seen {seen:?}");
    }
    Ok(())
}
