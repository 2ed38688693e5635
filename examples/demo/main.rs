//! The demo: a real cluster, a real vault, running flow apps, and the story of a secret in numbered steps.
//!
//! Every step says what was seen and how long it took, and the demo fails where something else is seen than it says.
//! It leaves everything running; `make down` ends it.

mod borders;
mod drift;
mod embedded;
mod look;
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

use world::World;

/// Brings up a cluster, a vault and flow apps on this machine, and shows a secret arrive in running pods, live.
///
/// What an earlier demo has left running is ended first.
#[derive(Parser)]
#[command(name = "demo", max_term_width = 100)]
struct Args {
    /// Run Node-RED in the pods, whose image is made once with npm. Otherwise they are a loop in busybox: the way of a
    /// secret to the file is the same, there is nothing to install, and six of them start in two seconds.
    #[arg(long)]
    node_red: bool,
    /// Without pods, also as root.
    #[arg(long, conflicts_with = "node_red")]
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
        eprintln!("\nThe operator's last words, of {}:\n{}", world.operator.log.display(), world.operator.last_words());
    }
    told?;
    world.next();
    Ok(())
}

async fn chapters(world: &World) -> Result<()> {
    let newsroom = embedded::chapter(world).await?;
    let studio = vault::chapter(world).await?;
    drift::chapter(world, &newsroom).await?;
    borders::foreign_secret(world).await?;
    borders::other_spaces(world).await?;
    for pods in [&newsroom, &studio] {
        pods.still_the_same(world).await?;
    }
    look::chapter(world).await
}
