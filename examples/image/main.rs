//! `make image`: the operator's image, made without an engine; fails where it is larger than it may be.

#[path = "../../tests/stage/mod.rs"]
mod stage;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use stage::operator_image::{self, BUDGET, Sizes};

/// Makes an image archive of a build of the operator.
#[derive(Parser)]
#[command(name = "image")]
struct Args {
    /// The operator.
    binary: PathBuf,
    /// Where the archive goes.
    archive: PathBuf,
}

fn main() -> Result<()> {
    let Args { binary, archive } = Args::parse();
    fs::copy(operator_image::archive(&binary)?, &archive)
        .with_context(|| format!("cannot write {}", archive.display()))?;
    let sizes = Sizes::of(&binary, &archive)?;
    for (what, size, budget) in [("binary", sizes.binary, BUDGET.binary), ("image", sizes.image, BUDGET.image)] {
        println!("{what:<7} {} of {} MB", megabytes(size), megabytes(budget));
        ensure!(size <= budget, "the {what} is larger than it may be");
    }
    println!("{}: {}", operator_image::TAG, archive.display());
    println!("docker load < {0}    or    ctr images import {0}", archive.display());
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}
