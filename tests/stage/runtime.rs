//! What runs in the pods of a flow app, and how one asks its flows.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use super::pods::PodRef;

/// A program that keeps the contract on the pod.
#[derive(Clone, Copy)]
pub struct Runtime {
    /// What it is called in a report.
    pub name: &'static str,
    /// How many pods of it.
    pub pods: usize,
    /// The archive of its image; made where it is not there yet.
    pub image: fn() -> Result<PathBuf>,
    /// What runs in it.
    pub program: &'static str,
    /// All that a namespace of this name needs: first itself, then a Deployment `app` with pods labelled `app: app` and what
    /// those mount besides.
    pub objects: fn(namespace: &str, pods: usize) -> Vec<Json>,
    /// Where its flows answer with JSON that has a `version`.
    pub port: u16,
    /// See `port`.
    pub path: &'static str,
}

impl Runtime {
    /// Asks every pod's flow whether this is the version that it reads.
    pub fn reads(&self, pods: &[PodRef], version: u64) -> Result<()> {
        tokio::task::block_in_place(|| {
            for pod in pods {
                let body = pod.get(self.port, self.path)?;
                let answer: Json =
                    serde_json::from_str(&body).with_context(|| format!("{} answers {body}", pod.name))?;
                ensure!(answer["version"] == version, "{} has acknowledged {version} and reads {answer}", pod.name);
            }
            Ok(())
        })
    }
}
