//! What reaches pods: the file, and the word that flows read it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use devcluster::NodeBox;

use crate::{
    audit::{Audit, Request},
    binary,
    report::{Report, ms, progress},
    stage::{
        self, Operator,
        acked::Acked,
        floor::Floor,
        light_runtime,
        live::{Live, p50_and_max, spread},
        node_red,
        runtime::Runtime,
    },
};

const FILE_ROUNDS: usize = 40;
const ACK_ROUNDS: usize = 40;
const UP_LIMIT: Duration = Duration::from_mins(5);
/// The kubelet refreshes a pod at once only once a second; and what one round leaves to do is not to meet the next.
const PAUSE: Duration = Duration::from_secs(2);
/// Until nothing more comes of a change.
const REST: Duration = Duration::from_secs(5);

/// All of it, where there can be a node.
pub async fn measure(report: &mut Report, light_pods: usize) -> Result<()> {
    if !stage::is_root() {
        report.note("Not root, so no node: what reaches pods was not measured.");
        return Ok(());
    }
    report.note(
        "acknowledged: the floor writes the Secret and patches each pod, all at once, and its pods acknowledge to a server \
         that answers and writes nothing; ours ends when the last pod's condition is seen. Both sets of pods, of the same \
         image, are on the one node all the time, and take turns",
    );
    files(report).await?;
    acks(report, node_red::runtime(3), (1.2, 1.5)).await?;
    // The kubelet alone is a larger part of it where it has many pods to refresh.
    acks(report, light_runtime::runtime(light_pods), (1.3, 1.5)).await
}

/// From the write to the embedded store to the file in the last of three pods.
async fn files(report: &mut Report) -> Result<()> {
    progress("a node, and three pods with the operator and three without");
    let node = tokio::task::spawn_blocking(NodeBox::start).await??;
    stage::install(&node)?;
    let mut operator = Operator::start(&node, binary(), node.host_address(), "info")?;
    let live = Live::raise(&node, stage::client(&node).await?).await?;
    progress(&format!("{FILE_ROUNDS} rounds"));
    let rounds = live.rounds(FILE_ROUNDS).await?;
    live.is_unharmed().await?;
    operator.stop()?;
    compare(report, "embedded store changed → file in all of 3 busybox pods", &rounds.floor, &rounds.ours, (1.2, 1.5));
    Ok(())
}

/// From the write to the embedded store to the last pod's word that it has loaded it.
async fn acks(report: &mut Report, runtime: Runtime, budgets: (f64, f64)) -> Result<()> {
    let (pods, name) = (runtime.pods, runtime.name);
    progress(&format!("a node, and {pods} pods of the {name} with the operator and as many without"));
    let start = move || NodeBox::builder().image_archive((runtime.image)()?).start();
    let node = tokio::task::spawn_blocking(start).await??;
    stage::install(&node)?;
    let mut operator = Operator::start(&node, binary(), node.host_address(), "info")?;
    let client = stage::client(&node).await?;
    let mut floor = Floor::raise(&node, client.clone(), runtime, UP_LIMIT).await?;
    let mut ours = Acked::raise(client, runtime, UP_LIMIT).await?;

    progress(&format!("{ACK_ROUNDS} rounds"));
    let (mut floors, mut told, mut acked, mut delivered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first makes the connections.
    for round in 0..=ACK_ROUNDS {
        tokio::time::sleep(spread(PAUSE, 2 * round)).await;
        let least = floor.round().await?;
        tokio::time::sleep(spread(PAUSE, 2 * round + 1)).await;
        let seen = ours.round().await?;
        if round > 0 {
            floors.push(least);
            told.push(seen.told);
            acked.push(seen.acked);
            delivered.push(seen.delivered);
        }
    }
    let what = format!("embedded store changed → acknowledged by all of {pods} pods, {name}");
    compare(report, &what, &floors, &acked, budgets);
    let (p50, max) = p50_and_max(&told);
    let what = format!("embedded store changed → the last of {pods} pods is begun to be told, {name}, p50 / max");
    report.row(&what, "", &format!("{} / {} ms", ms(p50), ms(max)), "", true);
    let (p50, max) = p50_and_max(&delivered);
    let what = format!("embedded store changed → sync says Delivered {pods}/{pods}, {name}, p50 / max");
    report.row(&what, "", &format!("{} / {} ms", ms(p50), ms(max)), "", true);

    progress("what one change asks of the API server");
    let mut audit = Audit::of(&node.audit_log());
    tokio::time::sleep(REST).await;
    audit.news()?;
    ours.round().await?;
    tokio::time::sleep(REST).await;
    requests(report, &runtime, &audit.news()?);
    let each = memory(&node, runtime.program)?;
    let middle = each.get(each.len() / 2).copied().unwrap_or_default();
    report.row(
        &format!("RSS of one {name} in a pod, median of {}", each.len()),
        "",
        &format!("{middle:.1} MB"),
        "",
        true,
    );
    ours.is_unharmed().await?;
    operator.stop()
}

/// RSS in MB of every process of a program in the box, the smallest first.
fn memory(node: &NodeBox, program: &str) -> Result<Vec<f64>> {
    let each =
        r#"for one in /proc/[0-9]*; do if [ "$(readlink $one/exe)" = "$1" ]; then grep VmRSS $one/status; fi; done"#;
    let said = node.exec_in_box("sh", &["-c", each, "sh", program])?;
    let kib = said.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    let mut each: Vec<f64> = kib.map(|kib| kib * 1024.0 / 1e6).collect();
    each.sort_by(f64::total_cmp);
    Ok(each)
}

fn compare(report: &mut Report, what: &str, floor: &[Duration], ours: &[Duration], (p50, max): (f64, f64)) {
    let (least, seen) = (p50_and_max(floor), p50_and_max(ours));
    report.ratio(&format!("{what}, p50"), least.0, seen.0, p50);
    report.ratio(&format!("{what}, max of {} (budget for p99)", ours.len()), least.1, seen.1, max);
}

/// By kind. For each pod there are its signal, its condition, and the question whose token it is.
fn requests(report: &mut Report, runtime: &Runtime, asked: &[Request]) {
    let mut kinds = BTreeMap::<String, usize>::new();
    for request in asked.iter().filter(|request| request.counts()) {
        *kinds.entry(request.what()).or_default() += 1;
    }
    let (pods, name) = (runtime.pods, runtime.name);
    let statuses: usize = ["spacesecretsyncs/status", "flowapps/status"]
        .iter()
        .filter_map(|what| kinds.get(&format!("patch {what}")))
        .sum();
    let what = format!("one change, {pods} pods, {name}");
    report.row(
        &format!("{what}: API requests of the operator"),
        &(2 * pods + 1).to_string(),
        &kinds.values().sum::<usize>().to_string(),
        "",
        true,
    );
    report.row(
        &format!("{what}: writes of the sync's and the flow app's status"),
        "2",
        &statuses.to_string(),
        "≤ 10",
        statuses <= 10,
    );
    let each: Vec<String> = kinds.iter().map(|(what, count)| format!("{what} {count}")).collect();
    report.note(&format!("{what}: {}", each.join(", ")));
}
