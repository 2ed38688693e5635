//! The examples of docs/contract.md, run as they stand there.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};

/// Runs those of the page that are for a shell, one after the other, in `folder` as if it were the mount of a pod, and
/// with `revision` in place of the page's. The status of each answer.
pub fn run_examples(folder: &Path, revision: &str, home: &Path) -> Result<Vec<u16>> {
    // What a person sees of an answer does not say its status.
    fs::write(home.join(".curlrc"), "write-out = \"\\nstatus %{http_code}\\n\"\n")?;
    let page = fs::read_to_string(super::root().join("docs/contract.md"))?;
    let mut statuses = Vec::new();
    for block in page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let example =
            block.replace("/var/run/spacesync", &folder.to_string_lossy()).replace("43-9f3c0a1b2c3d4e5f", revision);
        let mut shell = Command::new("sh");
        shell.args(["-euc", &example]).current_dir(folder).env("CURL_HOME", home).env("no_proxy", "*");
        let out = shell.output()?;
        let said = String::from_utf8_lossy(&out.stdout);
        ensure!(out.status.success(), "{example}\n{said}{}", String::from_utf8_lossy(&out.stderr));
        statuses.extend(said.lines().filter_map(|line| line.strip_prefix("status ")?.parse::<u16>().ok()));
    }
    Ok(statuses)
}
