//! What Spacesync costs and how fast it is, each figure beside what cannot be gone below, measured in the same run.
//!
//! Everything is real: the operator's release build as a process under its own role, kube-apiserver, etcd, OpenBao, and
//! a node for what reaches pods. Writes docs/benchmarks.md.

mod audit;
mod crowd;
mod delivery;
mod floor;
mod flow_apps;
mod image;
mod one_by_one;
mod process;
mod report;
#[path = "../../tests/stage/mod.rs"]
mod stage;
mod take_over;
mod watchers;

use std::{path::Path, time::Duration};

use anyhow::Result;
use clap::Parser;

use crowd::{Crowd, Store};
use report::{Report, ms, progress};

/// Measures each budget beside its floor, in about a quarter of an hour, and writes docs/benchmarks.md.
#[derive(Parser)]
struct Args {
    /// How many syncs a world has, for each world.
    #[arg(long, value_delimiter = ',', default_value = "500,2000,10000")]
    sizes: Vec<usize>,
    /// Where the entries are, for each world.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "embedded,open-bao")]
    stores: Vec<Store>,
    /// How many pods run the light runtime, on the one node.
    #[arg(long, default_value_t = 100)]
    light_pods: usize,
    /// What is measured.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "image,delivery,take-over,syncs,flow-apps")]
    parts: Vec<Part>,
    /// What cargo calls every bench with.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A section of the page.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The operator's program and image.
    Image,
    /// What reaches pods.
    Delivery,
    /// A leader that is killed.
    TakeOver,
    /// Many syncs, for each size and store.
    Syncs,
    /// The same with a flow app of three pods each, in the embedded store, for each size up to 2,000.
    FlowApps,
}

/// How many entries a request to OpenBao tells of at most.
const PAGE: usize = 2500;

/// Beyond this the API server of one machine has more to do with pods that nobody runs than the operator has.
const MOST_FLOW_APPS: usize = 2000;

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let is_wanted = |part| args.parts.contains(&part);
    if is_wanted(Part::Image) {
        let mut report = Report::begin("The operator's image");
        image::measure(&mut report, binary())?;
        report.write()?;
    }
    if is_wanted(Part::Delivery) {
        let mut report = Report::begin("What reaches pods");
        runtime.block_on(delivery::measure(&mut report, args.light_pods))?;
        report.write()?;
    }
    if is_wanted(Part::TakeOver) {
        let mut report = Report::begin("A leader that is killed");
        runtime.block_on(take_over::measure(&mut report))?;
        report.write()?;
    }
    if is_wanted(Part::Syncs) {
        let mut report = Report::begin("Many syncs");
        report.note("Each sync has a space, a namespace and five keys of 40 bytes.");
        report.note("Writes of a first sync are counted until 2 s after its last status. What spaces write comes after the secrets of their syncs, and is not all among them.");
        for &size in &args.sizes {
            for &store in &args.stores {
                runtime.block_on(world(&mut report, store, size))?;
                // Each takes minutes: what is known is kept if a later one is given up.
                report.write()?;
            }
        }
    }
    if is_wanted(Part::FlowApps) {
        let mut report = Report::begin("Many syncs with flow apps");
        report.note("As above in the embedded store, and of each sync a FlowApp, its Deployment and three running pods, which no node runs: nobody acknowledges.");
        for &size in args.sizes.iter().filter(|size| **size <= MOST_FLOW_APPS) {
            runtime.block_on(with_flow_apps(&mut report, size))?;
            report.write()?;
        }
    }
    Ok(())
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_spacesync"))
}

async fn world(report: &mut Report, store: Store, size: usize) -> Result<()> {
    progress(&format!("{size} spaces, namespaces and syncs in {}", store.name()));
    let mut crowd = Crowd::raise(store, size).await?;
    let first = crowd.first_sync(binary()).await?;
    progress("the same Secrets and statuses by a bare client");
    let floor = floor::same_writes(&crowd).await?;
    let what = format!("first sync of {size}, {}, from the operator's start", store.name());
    report.ratio(&what, floor, first.took, 1.3);
    // Secret and status of each sync, ConfigMap of each space.
    let (writes, budget) = (first.writes.values().sum::<usize>(), 3 * size);
    report.row(
        &format!("{what}: writes, Events aside"),
        "",
        &writes.to_string(),
        &format!("≤ {budget}"),
        writes <= budget,
    );
    report.row(&format!("{what}: CPU of the operator"), "", &format!("{} ms", ms(first.cpu)), "", true);
    let each: Vec<String> = first.writes.iter().map(|(what, count)| format!("{what} {count}")).collect();
    report.note(&format!("first sync of {size}, {}: {}", store.name(), each.join(", ")));
    settled(report, &mut crowd, "").await?;
    one_by_one::measure(report, &mut crowd).await?;
    restart(report, &mut crowd).await
}

async fn with_flow_apps(report: &mut Report, size: usize) -> Result<()> {
    let pods = flow_apps::PODS;
    progress(&format!("{size} spaces, namespaces, syncs and flow apps of {pods} pods"));
    let mut crowd = Crowd::raise(Store::Embedded, size).await?;
    flow_apps::add(&crowd).await?;
    let first = crowd.first_sync(binary()).await?;
    let more = format!(" with a flow app of {pods} pods each");
    let what = format!("first sync of {size}{more}, embedded, from the operator's start");
    report.row(&what, "", &format!("{} ms", ms(first.took)), "", true);
    settled(report, &mut crowd, &more).await
}

/// How much memory so many syncs may take: 25 MB for 2,000, 45 for 5,000, 80 for 10,000, and in between what lies there.
fn megabytes(syncs: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "so few are exact in a double")]
    let syncs = syncs as f64;
    if syncs <= 5000.0 { 25.0 + (syncs - 2000.0).max(0.0) / 150.0 } else { 45.0 + (syncs - 5000.0) * 7.0 / 1000.0 }
}

/// A minute in which nothing changes.
async fn settled(report: &mut Report, crowd: &mut Crowd, more: &str) -> Result<()> {
    progress("until nothing more is to do");
    crowd.rest(Duration::from_secs(8)).await?;
    progress("a minute in which nothing changes");
    let minute = crowd.observe(Duration::from_mins(1)).await?;
    let what = format!("no-change minute, {} syncs{more}, {}", crowd.size, crowd.store.name());
    let asked = minute.api.len();
    report.row(&format!("{what}: API requests"), "0", &asked.to_string(), "0", asked == 0);
    if crowd.store == Store::OpenBao {
        let (asked, read, pages) = (minute.store, minute.values, crowd.size.div_ceil(PAGE));
        let budget = pages.to_string();
        report.row(&format!("{what}: requests to the store"), &budget, &asked.to_string(), &budget, asked <= pages);
        report.row(&format!("{what}: values read"), "0", &read.to_string(), "0", read == 0);
    }
    let cpu = minute.cpu;
    report.row(&format!("{what}: CPU"), "", &format!("{} ms", ms(cpu)), "≤ 200 ms", cpu <= Duration::from_millis(200));
    let most = megabytes(crowd.size);
    report.row(
        &format!("{what}: RSS"),
        "",
        &format!("{:.1} MB", minute.rss),
        &format!("≤ {most:.0} MB"),
        minute.rss <= most,
    );
    for (verb, uri) in minute.api.iter().take(5) {
        report.note(&format!("asked in the no-change minute of {}: {verb} {uri}", crowd.store.name()));
    }
    Ok(())
}

async fn restart(report: &mut Report, crowd: &mut Crowd) -> Result<()> {
    progress("a restart with nothing changed");
    crowd.rest(Duration::from_secs(5)).await?;
    let seen = crowd.restart(binary()).await?;
    let what = format!("restart with nothing changed, {} syncs, {}", crowd.size, crowd.store.name());
    let asked = seen.api.len();
    report.row(&format!("{what}: requests, watches and lists included"), "", &asked.to_string(), "≤ 30", asked <= 30);
    let writes: Vec<_> = seen.api.iter().filter(|(verb, _)| !audit::is_read(verb)).collect();
    report.row(&format!("{what}: writes"), "0", &writes.len().to_string(), "0", writes.is_empty());
    for (verb, uri) in writes.iter().take(3) {
        report.note(&format!("written after the restart ({}): {verb} {uri}", crowd.store.name()));
    }
    if crowd.store == Store::OpenBao {
        report.row(&format!("{what}: values read"), "0", &seen.values.to_string(), "0", seen.values == 0);
    }
    let times = format!("{} ms", ms(seen.ready));
    report.row(&format!("{what}: until /readyz"), "", &times, "", true);
    Ok(())
}
