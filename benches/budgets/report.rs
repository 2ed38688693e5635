//! The table, on the screen and in docs/benchmarks.md.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::jiff::Zoned;

use crate::stage;

/// What was measured so far.
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
    load: String,
}

struct Row {
    what: String,
    floor: String,
    measured: String,
    budget: String,
    met: bool,
}

impl Report {
    pub fn begin() -> Self {
        Self { rows: Vec::new(), notes: Vec::new(), load: load() }
    }

    /// A figure.
    pub fn row(&mut self, what: &str, floor: &str, measured: &str, budget: &str, met: bool) {
        let sign = if met { "" } else { "  MISSED" };
        println!("{what:<86} {measured:>18}  floor {floor:>16}  budget {budget}{sign}");
        let row = Row { what: what.into(), floor: floor.into(), measured: measured.into(), budget: budget.into(), met };
        self.rows.push(row);
    }

    /// A time beside its floor.
    pub fn ratio(&mut self, what: &str, floor: Duration, measured: Duration, budget: f64) {
        let ratio = measured.as_secs_f64() / floor.as_secs_f64();
        let (floor, measured) = (format!("{} ms", ms(floor)), format!("{} ms ({ratio:.2}x)", ms(measured)));
        self.row(what, &floor, &measured, &format!("≤ {budget}x"), ratio <= budget);
    }

    /// A word on a figure.
    pub fn note(&mut self, what: &str) {
        println!("  {what}");
        self.notes.push(what.to_owned());
    }

    /// Writes the page.
    pub fn write(&self) -> Result<()> {
        let page = stage::root().join("docs/benchmarks.md");
        fs::write(&page, self.page()).with_context(|| format!("cannot write {}", page.display()))?;
        println!("\nwritten to {}", page.display());
        Ok(())
    }

    fn page(&self) -> String {
        let missed: Vec<&Row> = self.rows.iter().filter(|row| !row.met).collect();
        let rows = self.rows.iter().map(|row| {
            let (Row { what, floor, measured, budget, .. }, met) = (row, if row.met { "" } else { "**missed**" });
            format!("| {what} | {floor} | {measured} | {budget} | {met} |\n")
        });
        let mut page = format!(
            "# What it costs and how fast it is\n\n\
             Written by `make bench` on {}: {}.\n\
             Load average before it began: {}. What else ran then is in the figures: above the number of cores, believe the\n\
             ratios more than the times, and none of them much.\n\n\
             Everything is real: the operator's release build as a process under its own role, kube-apiserver and etcd, OpenBao in\n\
             memory, and a node with a kubelet for what reaches pods, all on that one machine. A floor is what a bare client needs\n\
             that does only what cannot be left out, in the same run. Each sync has a space, a namespace and five keys of 40 bytes.\n\n\
             | what | floor | measured | budget | |\n|---|---|---|---|---|\n",
            Zoned::now().strftime("%Y-%m-%d"),
            machine(),
            self.load
        );
        page.extend(rows);
        let verdict = match missed.len() {
            0 => "\nNo budget was missed.\n".to_owned(),
            count => format!("\n{count} budgets were missed; they are marked.\n"),
        };
        page += &verdict;
        page.extend(self.notes.iter().map(|note| format!("\n- {note}")));
        page.trim_end().to_owned() + "\n"
    }
}

/// Says what is going on.
pub fn progress(what: &str) {
    eprintln!("… {what}");
}

/// In whole milliseconds.
pub fn ms(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1e3)
}

fn load() -> String {
    fs::read_to_string("/proc/loadavg")
        .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
        .unwrap_or_default()
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpus.lines().find_map(|l| l.strip_prefix("model name")).map_or("", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 = memory.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    let kernel = Command::new("uname").arg("-r").output().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let gib = kib / f64::from(1 << 20);
    format!("{cores} cores of {model}, {gib:.0} GiB, Linux {}", kernel.unwrap_or_default())
}
