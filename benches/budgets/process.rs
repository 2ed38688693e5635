//! What a process costs.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// The smallest unit of CPU time in /proc.
const TICK: Duration = Duration::from_millis(10);

/// User and system time so far.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u32 = [11, 12].iter().filter_map(|&field| fields.get(field)?.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

/// In MB.
pub fn rss(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
