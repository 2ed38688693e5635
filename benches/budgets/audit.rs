//! What the operator asked of the API server, read from the audit log as it grows.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value as Json;

const OPERATOR: &str = "system:serviceaccount:spacesync-system:spacesync";

/// One request of the operator.
pub struct Request {
    pub verb: String,
    pub resource: String,
    /// With its slash.
    subresource: String,
    pub namespace: String,
    pub uri: String,
    pub done: Timestamp,
    started: bool,
}

impl Request {
    /// Not a watch, not the lease, not an Event.
    pub fn counts(&self) -> bool {
        self.verb != "watch" && self.resource != "leases" && self.resource != "events"
    }

    /// A watch that ended was begun earlier.
    pub fn is_new(&self) -> bool {
        self.resource != "leases" && (self.verb != "watch" || self.started)
    }

    /// Verb and resource.
    pub fn what(&self) -> String {
        format!("{} {}{}", self.verb, self.resource, self.subresource)
    }
}

/// Whether it changes nothing.
pub fn is_read(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
}

/// The audit log, read on from where it was read to.
pub struct Audit {
    log: PathBuf,
    at: u64,
}

impl Audit {
    /// From its beginning.
    pub fn of(log: &Path) -> Self {
        Self { log: log.to_owned(), at: 0 }
    }

    /// What was asked since the last time.
    pub fn news(&mut self) -> Result<Vec<Request>> {
        let mut file = File::open(&self.log)?;
        ensure!(file.metadata()?.len() >= self.at, "the audit log began anew: what was asked is not all in it");
        file.seek(SeekFrom::Start(self.at))?;
        let (mut lines, mut line, mut news) = (BufReader::new(file), String::new(), Vec::new());
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.at += line.len() as u64;
            if line.contains(OPERATOR) {
                let entry: Json = serde_json::from_str(&line)?;
                news.extend((entry["user"]["username"] == OPERATOR).then(|| request(&entry)).transpose()?);
            }
            line.clear();
        }
        Ok(news)
    }
}

fn request(entry: &Json) -> Result<Request> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    Ok(Request {
        // To ask what one may do is a `create` by its form only.
        verb: match entry["objectRef"]["apiGroup"].as_str() {
            Some("authorization.k8s.io") => "get".to_owned(),
            _ => text(&entry["verb"]),
        },
        resource: text(&entry["objectRef"]["resource"]),
        subresource: entry["objectRef"]["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default(),
        namespace: text(&entry["objectRef"]["namespace"]),
        uri: text(&entry["requestURI"]),
        done: text(&entry["stageTimestamp"]).parse()?,
        started: entry["stage"] == "ResponseStarted",
    })
}
