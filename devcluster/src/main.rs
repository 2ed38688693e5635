//! The command line of the development cluster.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use devcluster::binaries::{self, Tool};
use devcluster::up::{self, Part};
use devcluster::{Image, Up, attach, images};

/// A real Kubernetes control plane, vault and node on this machine, for development.
///
/// Everything is kept in `.dev` of the workspace (or in $SPACESYNC_DEV) and listens on addresses of this machine only.
/// The first use builds Kubernetes and etcd from source, which takes about 5 minutes; $KUBEBUILDER_ASSETS may name a
/// folder that has them.
#[derive(Parser)]
#[command(name = "devcluster", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  devcluster up --openbao                 a control plane and a vault, in about 3 s
  sudo -E devcluster up --node --openbao  with a node, so that pods run, in about 6 s
  export KUBECONFIG=$(devcluster kubeconfig)
  devcluster down                         and nothing is left";

#[derive(Subcommand)]
enum Command {
    /// Brings it up and leaves it running. What is up already stays as it is.
    Up(Wanted),
    /// Ends all of it: processes, files, cgroups, network devices; also what others left that were killed.
    Down,
    /// Says what is up, and where. Exits with 1 where nothing is.
    Status,
    /// Builds and fetches everything that is needed, so that nothing later has to wait for it.
    Tools,
    /// Prints the path of the admin's kubeconfig file.
    Kubeconfig,
}

#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Wanted {
    /// With a node, on which pods run. Needs root.
    #[arg(long)]
    node: bool,
    /// The node has Node-RED's image too, localhost/node-red:5. Needs npm the first time.
    #[arg(long, requires = "node")]
    node_red: bool,
    /// With OpenBao, a secret store; KV version 2 is at `secret`.
    #[arg(long)]
    openbao: bool,
    /// OpenBao over HTTPS.
    #[arg(long, requires = "openbao")]
    tls: bool,
}

fn main() -> ExitCode {
    match up::hold_if_asked().and_then(|()| run(&Cli::parse().command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Up(wanted) => bring_up(wanted)?,
        Command::Down => {
            let begun = Instant::now();
            let ended = up::down()?;
            let what =
                if ended.is_empty() { "nothing was up".to_owned() } else { format!("{} ended", ended.join(", ")) };
            println!("{what}, nothing is left ({:.1} s)", begun.elapsed().as_secs_f64());
        }
        Command::Status => {
            let Some(found) = attach() else {
                println!("nothing is up");
                return Ok(ExitCode::FAILURE);
            };
            print(&found);
        }
        Command::Tools => fetch_all()?,
        Command::Kubeconfig => {
            let cluster = attach().and_then(|up| up.cluster).context("no cluster is up: `devcluster up`")?;
            println!("{}", cluster.kubeconfig().display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn bring_up(wanted: &Wanted) -> Result<()> {
    // Here and not in the background, where nobody would see the progress.
    prepare(wanted)?;
    let images = if wanted.node_red { vec![Image::NodeRed.archive()?] } else { Vec::new() };
    let cluster = if wanted.node { Part::Node { images } } else { Part::Plane };
    let mut parts = vec![cluster];
    if wanted.openbao {
        parts.push(Part::OpenBao { tls: wanted.tls });
    }
    let program = std::env::current_exe().context("where is this program?")?;
    for part in &parts {
        let begun = Instant::now();
        let there = up::up(&program, part)?;
        let what = part.describe();
        if there {
            println!("{what}: is up already");
        } else {
            println!("{what}: up in {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
    let up = attach().context("it went down at once")?;
    print(&up);
    let kubeconfig = up.cluster.map(|cluster| cluster.kubeconfig()).unwrap_or_default();
    let this = std::env::args().next().unwrap_or_else(|| "devcluster".to_owned());
    println!("\nNext:");
    println!("  export KUBECONFIG={} PATH={}:$PATH", kubeconfig.display(), binaries::folder().display());
    println!("  kubectl get --raw /readyz; kubectl get pods --all-namespaces");
    println!("  {this} down");
    Ok(())
}

fn prepare(wanted: &Wanted) -> Result<()> {
    binaries::find(Tool::KubeApiserver)?;
    if wanted.openbao {
        binaries::find(Tool::Bao)?;
    }
    if wanted.node {
        binaries::find(Tool::KubeProxy)?;
        binaries::ensure_container_runtime()?;
        images::ensure(if wanted.node_red { &[Image::NodeRed] } else { &[] })?;
    }
    Ok(())
}

fn fetch_all() -> Result<()> {
    for tool in Tool::ALL {
        println!("{}", binaries::find(tool)?.display());
    }
    // A machine without root or npm can do everything else, so these do not fail the command.
    match binaries::ensure_container_runtime().and_then(|()| images::ensure(&[Image::NodeRed, Image::NodeRed4])) {
        Ok(archives) => archives.iter().for_each(|archive| println!("{}", archive.display())),
        Err(error) => eprintln!("not for the node: {error:#}"),
    }
    Ok(())
}

fn print(up: &Up) {
    if let Some(cluster) = &up.cluster {
        println!("cluster     {}", cluster.url());
        println!("kubeconfig  {}", cluster.kubeconfig().display());
        println!("logs        {}", cluster.dir().display());
    }
    if let Some(node) = &up.node {
        println!("node        pods reach this machine at {}", node.host_address());
    }
    if let Some(bao) = &up.openbao {
        println!("openbao     {}  token {}", bao.url(), bao.root_token());
        if let Some(ca) = bao.ca_file() {
            println!("            CA {}", ca.display());
        }
    }
}
