//! Container images, made by hand once and kept in `.dev/images`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{binaries, places, progress};

/// An image made of what is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// `localhost/busybox:1`, and the pause image: every node has them.
    Busybox,
    /// `localhost/node-red:5`: Node-RED 5 on Node.js 22 (233 MB; made with npm).
    NodeRed,
    /// `localhost/node-red:4`: Node-RED 4.1 on Node.js 20 (likewise).
    NodeRed4,
    /// No file at all. Only to put a [`Layer`](super::Layer) on: what is in an image then is what was put there.
    Nothing,
}

/// An archive of no layer.
const NOTHING: &str = "
import io, json, sys, tarfile
config = {'architecture': 'any', 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids': []}}
manifest = [{'Config': 'config.json', 'RepoTags': [], 'Layers': []}]
with tarfile.open(sys.argv[1] + '/nothing.tar', 'w') as tar:
    for name, content in (('manifest.json', manifest), ('config.json', config)):
        text = json.dumps(content).encode()
        info = tarfile.TarInfo(name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
";

pub(super) const SCRIPT: &str = include_str!("../../image_build.py");

impl Image {
    /// Its archive; made where it is not there yet.
    pub fn archive(self) -> Result<PathBuf> {
        let name = match self {
            Self::Busybox => {
                make("busybox", "making the busybox image, once")?;
                "busybox"
            }
            Self::NodeRed => with_npm("nodered", "making the Node-RED image, once, about 30 s")?,
            Self::NodeRed4 => with_npm("nodered4", "making the image of Node-RED 4.1, once, about 30 s")?,
            Self::Nothing => {
                binaries::once(&folder(), "nothing", "1\n", |unfinished| {
                    let mut python = Command::new("python3");
                    python.args(["-c", NOTHING]).arg(unfinished);
                    progress::run("making an empty image", &mut python, &folder().join("nothing.log"), String::new)
                })?;
                "nothing"
            }
        };
        Ok(folder().join(format!("{name}.tar")))
    }
}

fn with_npm(name: &'static str, what: &str) -> Result<&'static str> {
    if Command::new("npm").arg("--version").output().is_err() {
        bail!("npm is missing. It fetches Node-RED for its images, once. On Debian: apt-get install npm");
    }
    make(name, what)?;
    Ok(name)
}

/// The archives of busybox, pause and `more`; makes those that are not there yet.
pub fn ensure(more: &[Image]) -> Result<Vec<PathBuf>> {
    let mut archives = vec![Image::Busybox.archive()?, folder().join("pause.tar")];
    for image in more.iter().filter(|image| **image != Image::Busybox) {
        archives.push(image.archive()?);
    }
    Ok(archives)
}

/// Where they are kept.
pub(super) fn folder() -> PathBuf {
    places::dev().join("images")
}

/// The program that makes them.
pub(super) fn build(into: &Path) -> Command {
    let mut build = Command::new("python3");
    build.arg(places::source().join("image_build.py")).arg(into);
    build
}

fn make(name: &str, what: &str) -> Result<()> {
    // Another recipe makes another image.
    let mut recipe = DefaultHasher::new();
    SCRIPT.hash(&mut recipe);
    let version = format!("recipe {:016x}\n", recipe.finish());
    binaries::once(&folder(), name, &version, |unfinished| {
        progress::run(what, build(unfinished).arg(name), &folder().join(format!("{name}.log")), String::new)?;
        fs::metadata(unfinished.join(format!("{name}.tar")))?;
        Ok(())
    })
}
