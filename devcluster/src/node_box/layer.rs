//! An image that is another with one more layer: for what is built here and changes all the time.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::images::{self, Image};
use crate::{binaries, progress};

/// How many builds of one image are kept: worktrees that share `.dev` have builds of their own.
const KEPT: usize = 3;

/// One more layer on an [`Image`].
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// use devcluster::{Image, Layer, NodeBox};
///
/// let image = Layer::on(Image::Busybox, "hello") // becomes localhost/hello:1
///     .program("/usr/local/bin/hello", "target/debug/hello")
///     .config(serde_json::json!({"User": "1000:1000", "Entrypoint": ["/usr/local/bin/hello"]}));
/// let node = NodeBox::builder().image_archive(image.archive()?).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Layer {
    on: Image,
    name: String,
    put: Vec<Put>,
    config: Value,
}

#[derive(Debug, Clone)]
struct Put {
    to: String,
    from: PathBuf,
    libraries: bool,
}

impl Layer {
    /// The image `localhost/NAME:1`.
    pub fn on(image: Image, name: &str) -> Self {
        Self { on: image, name: name.to_owned(), put: Vec::new(), config: json!({}) }
    }

    /// A file, or a folder with all that is in it.
    #[must_use]
    pub fn put(mut self, to: &str, from: impl Into<PathBuf>) -> Self {
        self.put.push(Put { to: to.to_owned(), from: from.into(), libraries: false });
        self
    }

    /// A program with the shared libraries that it needs.
    #[must_use]
    pub fn program(mut self, to: &str, from: impl Into<PathBuf>) -> Self {
        self.put.push(Put { to: to.to_owned(), from: from.into(), libraries: true });
        self
    }

    /// Fields of the image's config (`User`, `Env`, `WorkingDir`, `Entrypoint`, …) in place of those of the image below.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// What a pod names.
    pub fn tag(&self) -> String {
        format!("localhost/{}:1", self.name)
    }

    /// Its archive, for [`NodeBoxBuilder::image_archive`](super::NodeBoxBuilder::image_archive); made anew where what is
    /// in it has changed.
    pub fn archive(&self) -> Result<PathBuf> {
        let base = self.on.archive()?;
        let file = format!("{}-{:016x}", self.name, self.state(&base)?);
        let recipe = json!({"file": file, "tag": self.tag(), "config": self.config, "put": self.put.iter().map(|put| {
            json!({"to": put.to, "from": put.from, "libraries": put.libraries})
        }).collect::<Vec<_>>()});
        let folder = images::folder();
        binaries::once(&folder, &file, "", |unfinished| {
            let mut build = images::build(unfinished);
            build.arg("--on").arg(&base).arg(recipe.to_string());
            progress::run(
                &format!("making the image {}", self.tag()),
                &mut build,
                &folder.join(format!("{file}.log")),
                String::new,
            )
        })?;
        let archive = folder.join(format!("{file}.tar"));
        File::options().append(true).open(&archive)?.set_modified(SystemTime::now())?;
        forget_older(&folder, &self.name)?;
        Ok(archive)
    }

    /// Another one for whatever would make another image. Files are looked at as `make` does: size and time.
    fn state(&self, base: &Path) -> Result<u64> {
        let mut state = DefaultHasher::new();
        (images::SCRIPT, self.config.to_string()).hash(&mut state);
        look(base, &mut state)?;
        for put in &self.put {
            (&put.to, put.libraries).hash(&mut state);
            look(&put.from.canonicalize().unwrap_or_else(|_| put.from.clone()), &mut state)?;
        }
        Ok(state.finish())
    }
}

fn look(path: &Path, state: &mut DefaultHasher) -> Result<()> {
    let seen = fs::symlink_metadata(path).with_context(|| format!("cannot put {} into an image", path.display()))?;
    path.hash(state);
    if !seen.is_dir() {
        (seen.len(), seen.modified()?).hash(state);
        return Ok(());
    }
    let mut below = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    below.sort();
    below.iter().try_for_each(|path| look(path, state))
}

fn forget_older(folder: &Path, name: &str) -> Result<()> {
    let mut builds = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(build) = file.strip_suffix(".tar").filter(|build| is_build_of(build, name)) {
            builds.push((entry.metadata()?.modified()?, build.to_owned()));
        }
    }
    builds.sort();
    for (_, build) in builds.iter().rev().skip(KEPT) {
        for file in
            [format!("{build}.version"), format!("{build}.tar"), format!("{build}.log"), format!(".{build}.lock")]
        {
            // Another process may do the same.
            let _ = fs::remove_file(folder.join(file));
        }
    }
    Ok(())
}

/// `NAME-0123456789abcdef`
fn is_build_of(file: &str, name: &str) -> bool {
    let state = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    state.is_some_and(|state| state.len() == 16 && state.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_of_one_image_is_none_of_another_whose_name_begins_alike() {
        assert!(is_build_of("node-red-0123456789abcdef", "node-red"));
        assert!(!is_build_of("node-red-plugin-0123456789abcdef", "node-red"));
        assert!(!is_build_of("nodered", "nodered"));
    }

    #[test]
    fn a_changed_file_makes_another_image() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("devcluster-layer-{}", std::process::id()));
        fs::create_dir_all(folder.join("below"))?;
        let file = folder.join("below/file");
        fs::write(&file, "one")?;
        let layer = Layer::on(Image::Busybox, "some").put("/some", &folder);
        let base = folder.join("below/file");
        let before = layer.state(&base)?;
        assert_eq!(layer.state(&base)?, before);
        fs::write(&file, "other")?;
        assert_ne!(layer.state(&base)?, before);
        assert_ne!(layer.config(json!({"User": "1000"})).state(&base)?, before);
        Ok(fs::remove_dir_all(folder)?)
    }
}
