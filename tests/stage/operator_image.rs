//! The operator's image, made without an engine: what the Dockerfile makes elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use devcluster::{Image, Layer};
use serde_json::{Value as Json, json};

const NAME: &str = "spacesync";
/// Where it is in the image.
pub const PROGRAM: &str = "/usr/bin/spacesync";
/// Where it looks for root certificates.
pub const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a pod names.
pub const TAG: &str = "localhost/spacesync:1";

/// What may be in it, in bytes.
pub const BUDGET: Sizes = Sizes { binary: 25_000_000, image: 30_000_000 };

/// How large a build of the program is, and the image of it.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub binary: u64,
    pub image: u64,
}

impl Sizes {
    /// Of a build and an archive.
    pub fn of(binary: &Path, archive: &Path) -> Result<Self> {
        Ok(Self { binary: fs::metadata(binary)?.len(), image: fs::metadata(archive)?.len() })
    }
}

/// Its archive, with this build of the program; made where it is not there yet.
pub fn archive(binary: &Path) -> Result<PathBuf> {
    layer(binary)?.archive()
}

fn layer(binary: &Path) -> Result<Layer> {
    let certificates = Path::new(CERTIFICATES);
    let certificates = certificates.canonicalize().context("no root certificates: apt-get install ca-certificates")?;
    Ok(Layer::on(Image::Nothing, NAME)
        .program(PROGRAM, binary)
        .put(CERTIFICATES, certificates)
        .put("/etc", super::root().join("image/etc"))
        .config(config()?))
}

/// User and entry point, as the Dockerfile says.
fn config() -> Result<Json> {
    let dockerfile = fs::read_to_string(super::root().join("Dockerfile"))?;
    let said = |word: &str| {
        let mut lines = dockerfile.lines().rev();
        lines.find_map(|line| line.strip_prefix(word)).with_context(|| format!("the Dockerfile has no {word}"))
    };
    let entry: Json = serde_json::from_str(said("ENTRYPOINT ")?)?;
    Ok(json!({"User": said("USER ")?, "Entrypoint": entry}))
}
