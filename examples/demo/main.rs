//! The demo: a real cluster, a real vault, running flow apps, and the story of a secret in numbered steps.
//!
//! Every step says what was seen and how long it took, and the demo fails where something else is seen than it says.
//! It leaves everything running; `make down` ends it.

mod acks;
mod borders;
mod drift;
mod editor;
mod embedded;
mod look;
mod operator;
mod pods;
mod samples;
#[path = "../../tests/stage/mod.rs"]
mod stage;
mod story;
mod vault;
mod world;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use pods::FlowPods;
use world::World;

/// Brings up a cluster, a vault and flow apps on this machine, and shows a secret arrive in running Node-REDs, live.
///
/// What an earlier demo has left running is ended first.
#[derive(Parser)]
#[command(name = "demo", max_term_width = 100)]
struct Args {
    /// Without pods, also as root: no node, no Node-RED.
    #[arg(long)]
    no_pods: bool,
}

fn main() -> ExitCode {
    let told = devcluster::up::hold_if_asked().and_then(|()| tell(&Args::parse()));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error:#}");
            eprintln!("\nWhat is up stays up, so that you can look; `make down` ends it.");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn tell(args: &Args) -> Result<()> {
    println!("Spacesync: a space's secrets reach running pods, live");
    let world = World::raise(args).await?;
    let told = chapters(&world).await;
    if told.is_err() {
        eprintln!("\nThe operator's last words, {}", world.operator.last_words());
    }
    world.next(&told?);
    Ok(())
}

/// The pods whose editor is shown at the end.
async fn chapters(world: &World) -> Result<FlowPods> {
    let newsroom = embedded::chapter(world).await?;
    let studio = vault::chapter(world).await?;
    drift::chapter(world, &newsroom).await?;
    borders::foreign_secret(world).await?;
    borders::other_spaces(world).await?;
    for pods in [&newsroom, &studio] {
        pods.still_the_same(world).await?;
    }
    editor::chapter(&newsroom).await?;
    look::chapter(world).await?;
    Ok(newsroom)
}
