//! The command line, nothing else.

use std::io::{self, Write};

use clap::{CommandFactory, Parser};
use spacesync::cli::{self, Cli, Command, Page};

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Operator(_) => anyhow::bail!("the operator is not wired in yet"),
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
    }
}

/// To a reader that may go early: `spacesync crds | head` is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
