//! A changed secret on a real node, in three pods of the light runtime: loaded, acknowledged, and told. And the examples of
//! the page that the runtime is written from.

mod stage;

use std::{path::Path, time::Duration};

use anyhow::Result;
use devcluster::NodeBox;
use spacesync::resources::names;
use stage::{Operator, acked::Acked, floor::Floor, light_runtime, live::p50_and_max, page};

const ROUNDS: usize = 10;
const UP_LIMIT: Duration = Duration::from_mins(1);
/// The kubelet refreshes a pod at once only once a second.
const PAUSE: Duration = Duration::from_millis(1200);

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_loaded_and_acknowledged_by_three_runtimes_each_time() -> Result<()> {
    if !stage::is_root() {
        println!("SKIPPED: a node needs root");
        return Ok(());
    }
    let start = || NodeBox::builder().image_archive(light_runtime::image()?).start();
    let node = tokio::task::spawn_blocking(start).await??;
    let client = stage::client(&node).await?;
    let runtime = light_runtime::runtime(3);
    let mut floor = Floor::raise(&node, client.clone(), runtime, UP_LIMIT).await?;
    stage::install(&node)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_spacesync"));
    let operator = Operator::start(&node, binary, node.host_address(), "info,spacesync=debug")?;
    let told = async {
        let mut acked = Acked::raise(client, runtime, UP_LIMIT).await?;
        let (mut floors, mut all, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            tokio::time::sleep(PAUSE).await;
            floors.push(floor.round().await?);
            tokio::time::sleep(PAUSE).await;
            let round = acked.round().await?;
            all.push(round.acked);
            delivered.push(round.delivered);
        }
        acked.is_loaded().await?;
        acked.is_unharmed().await?;
        for (what, times) in [("floor", floors), ("acknowledged", all), ("delivered", delivered)] {
            let (p50, max) = p50_and_max(&times);
            println!("{what:<12} median {:>4} ms  max {:>4} ms", p50.as_millis(), max.as_millis());
        }
        // Last, because they change what the sync does by itself.
        let (pod, revision) = acked.sample().await?;
        let folder = node.pod_volume_dir(&pod.uid, names::VOLUME);
        assert_eq!(page::run_examples(&folder, &revision, node.dir())?, [204, 200, 200, 200]);
        anyhow::Ok(())
    };
    let told = told.await;
    if told.is_err() {
        println!("{}", operator.last_words());
    }
    told
}
