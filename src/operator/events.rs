//! Events: a Warning for what someone must act on, one Normal per new version. Never one per cycle.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use crate::{
    cluster::MayWrite,
    resources::{Reason, names::MANAGER, reason::Telling},
};

/// How many Events may wait; more are dropped, for the status says the same.
const WAITING: usize = 1024;

/// Where Events go. Never waits: an API server that is slow on Events holds nobody up.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<(Event, ObjectReference)>);

impl Events {
    /// Begins to publish; ends when the last handle is dropped.
    pub fn start(client: Client, may_write: MayWrite) -> Self {
        let (sender, mut waiting) = mpsc::channel::<(Event, ObjectReference)>(WAITING);
        let reporter = Reporter { controller: format!("{MANAGER}.dev/operator"), instance: None };
        tokio::spawn(async move {
            let recorder = Recorder::new(client, reporter);
            while let Some((event, about)) = waiting.recv().await {
                if !may_write() {
                    continue;
                }
                let published = tokio::time::timeout(Duration::from_secs(5), recorder.publish(&event, &about)).await;
                if !matches!(published, Ok(Ok(()))) {
                    tracing::debug!(reason = event.reason, "an Event could not be published");
                }
            }
        });
        Self(sender)
    }

    /// Tells of a reason that someone must act on; quiet reasons are not told.
    pub fn warn<K: Resource<DynamicType = ()>>(&self, about: &K, reason: Reason, note: &str) {
        if reason.telling() == Telling::Warning {
            self.send(about.object_ref(&()), EventType::Warning, reason.as_str(), "Reconcile", note);
        }
    }

    /// Tells that something new came. Events of one object, reason and `action` become one series with the first note,
    /// so what is new stands in the action.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: Reason, action: &str, note: &str) {
        self.send(about.object_ref(&()), EventType::Normal, reason.as_str(), action, note);
    }

    fn send(&self, about: ObjectReference, type_: EventType, reason: &str, action: &str, note: &str) {
        // The API takes notes of up to 1 kB.
        let note = note.chars().take(1000).collect();
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
        // A full channel drops the Event: the status says the same.
        let _ = self.0.try_send((event, about));
    }
}
