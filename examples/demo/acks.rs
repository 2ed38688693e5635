//! The word of each pod's runtime that its flows read the new revision: the pod condition `spacesync.dev/Loaded`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    runtime::watcher::{self, Event},
};
use spacesync::resources::names::LOADED;

const LIMIT: Duration = Duration::from_secs(10);

/// A watch of the pods of a flow app.
pub struct Acks {
    events: std::pin::Pin<Box<dyn Stream<Item = watcher::Result<Event<Pod>>> + Send>>,
    before: BTreeMap<String, Option<String>>,
}

impl Acks {
    /// Begins with what each pod has acknowledged by now.
    pub async fn begin(api: Api<Pod>) -> Result<Self> {
        let mut events = watcher::watcher(api, watcher::Config::default().labels("app=ingest")).boxed();
        let mut before = BTreeMap::new();
        loop {
            match events.next().await.context("the watch of the pods ended")?? {
                Event::InitApply(pod) => drop(before.insert(name(&pod), loaded(&pod))),
                Event::InitDone => return Ok(Self { events, before }),
                _ => {}
            }
        }
    }

    /// When each pod has acknowledged another revision than before, as time since `began`.
    pub async fn all_new(mut self, began: Instant) -> Result<Vec<Duration>> {
        let mut arrivals = BTreeMap::new();
        let waiting = async {
            while arrivals.len() < self.before.len() {
                let event = self.events.next().await.context("the watch of the pods ended")??;
                if let Event::Apply(pod) = event {
                    let (name, now) = (name(&pod), loaded(&pod));
                    if now.is_some() && self.before.get(&name).is_some_and(|before| *before != now) {
                        arrivals.entry(name).or_insert_with(|| began.elapsed());
                    }
                }
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(LIMIT, waiting).await {
            Ok(waited) => waited?,
            Err(_) => {
                bail!("within {LIMIT:?} only {:?} of {:?} acknowledged", arrivals.keys(), self.before.keys());
            }
        }
        Ok(arrivals.into_values().collect())
    }
}

/// The revision that the pod's runtime says its flows read.
pub fn loaded(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|c| c.type_ == LOADED && c.status == "True")?;
    condition.message.clone()
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}
