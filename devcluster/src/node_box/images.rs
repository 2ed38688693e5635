//! Container images, made by hand once and kept in `.dev/images`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{binaries, places, progress};

/// An image that can be had besides busybox and pause, which every node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// `localhost/node-red:5`: Node-RED 5 on Node.js 22 (233 MB; made with npm).
    NodeRed,
}

const SCRIPT: &str = include_str!("../../image_build.py");

/// The archives of busybox, pause and `more`; makes those that are not there yet.
pub fn ensure(more: &[Image]) -> Result<Vec<PathBuf>> {
    let folder = places::dev().join("images");
    make(&folder, "busybox", "making the busybox image, once")?;
    let mut names = vec!["busybox", "pause"];
    if more.contains(&Image::NodeRed) {
        if Command::new("npm").arg("--version").output().is_err() {
            bail!("npm is missing. It fetches Node-RED for its image, once. On Debian: apt-get install npm");
        }
        make(&folder, "nodered", "making the Node-RED image, once, about 30 s")?;
        names.push("nodered");
    }
    Ok(names.into_iter().map(|name| folder.join(format!("{name}.tar"))).collect())
}

fn make(folder: &Path, name: &str, what: &str) -> Result<()> {
    // Another recipe makes another image.
    let mut recipe = DefaultHasher::new();
    SCRIPT.hash(&mut recipe);
    let version = format!("recipe {:016x}\n", recipe.finish());
    binaries::once(folder, name, &version, |unfinished| {
        let mut build = Command::new("python3");
        build.arg(places::source().join("image_build.py")).arg(unfinished).arg(name);
        progress::run(what, &mut build, &folder.join(format!("{name}.log")), String::new)?;
        fs::metadata(unfinished.join(format!("{name}.tar")))?;
        Ok(())
    })
}
