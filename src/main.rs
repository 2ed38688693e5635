//! The command line, nothing else.

use std::io::{self, Write};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use spacesync::{
    cli::{self, Cli, Command, Page},
    operator,
};

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Operator(args) => run(args),
        Command::Crds(args) => match args.write {
            Some(folder) => cli::crds::write(&folder),
            None => print(&cli::crds::stream()?),
        },
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "spacesync", &mut script);
            print(&String::from_utf8(script)?)
        }
        Command::Docs { page: Page::Reasons } => print(&cli::reasons::page()),
        Command::Docs { page: Page::Metrics } => print(&cli::metrics::page()),
        Command::Docs { page: Page::Openapi } => print(&spacesync::pod_api::openapi::page()?),
    }
}

fn run(args: cli::OperatorArgs) -> anyhow::Result<()> {
    operator::memory::forbid_core_dumps().context("core dumps, which would hold secrets, cannot be forbidden")?;
    // One provider for every TLS connection; the API server's client and the stores' must not differ.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(operator::run(args))
}

/// To a reader that may go early: `spacesync crds | head` is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
