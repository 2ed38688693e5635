//! The tables, on the screen and in docs/benchmarks.md: one section for each part, so that a part can be measured anew.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::jiff::Zoned;

use crate::stage;

const HEAD: &str = "# What it costs and how fast it is\n\n\
    Written by `make bench`, each part when it was last measured. What else ran then is in the figures: where the load was above\n\
    the number of cores, believe the ratios more than the times, and none of them much.\n\n\
    Everything is real: the operator's release build as a process under its own role, kube-apiserver and etcd, OpenBao in\n\
    memory, and a node with a kubelet for what reaches pods, all on that one machine. A floor is what a bare client needs\n\
    that does only what cannot be left out, in the same run.\n";

/// What was measured so far of one part.
pub struct Report {
    title: &'static str,
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
    /// The load of the machine is that of now.
    pub fn begin(title: &'static str) -> Self {
        Self { title, rows: Vec::new(), notes: Vec::new(), load: load() }
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

    /// Writes its section of the page; the others stay as they are.
    pub fn write(&self) -> Result<()> {
        let path = stage::root().join("docs/benchmarks.md");
        let page = fs::read_to_string(&path).unwrap_or_default();
        let heading = format!("{}\n", self.title);
        let old: Vec<&str> = page.split("\n## ").skip(1).collect();
        let at = old.iter().position(|section| section.starts_with(&heading));
        let mut sections: Vec<String> = old.iter().map(|section| section.trim_end().to_owned()).collect();
        match at {
            Some(at) => sections[at] = self.section(),
            None => sections.push(self.section()),
        }
        let page = sections.iter().fold(HEAD.to_owned(), |page, section| format!("{page}\n## {section}\n"));
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }

    fn section(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let (Row { what, floor, measured, budget, .. }, met) = (row, if row.met { "" } else { "**missed**" });
            format!("| {what} | {floor} | {measured} | {budget} | {met} |\n")
        });
        let mut section = format!(
            "{}\n{}, on {}. Load average before it began: {}.\n\n\
             | what | floor | measured | budget | |\n|---|---|---|---|---|\n",
            self.title,
            Zoned::now().strftime("%Y-%m-%d"),
            machine(),
            self.load
        );
        section.extend(rows);
        let verdict = match self.rows.iter().filter(|row| !row.met).count() {
            0 => "\nNo budget was missed.\n".to_owned(),
            1 => "\nOne budget was missed; it is marked.\n".to_owned(),
            count => format!("\n{count} budgets were missed; they are marked.\n"),
        };
        section += &verdict;
        section.extend(self.notes.iter().map(|note| format!("\n- {note}")));
        section.trim_end().to_owned()
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
