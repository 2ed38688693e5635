//! Events: a Warning for what someone must act on, one Normal per new version. Never one per cycle.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    cluster::MayWrite,
    resources::{Reason, names::MANAGER, reason::Telling},
};

/// How many Events may wait; more are dropped, for the status says the same.
const WAITING: usize = 1024;

/// How long a reason must stand before somebody is called: what is applied together is complete in a moment.
const STANDS: Duration = Duration::from_secs(1);

/// When to ask whether a reason still stands, and how.
type Stays = (Instant, Box<dyn Fn() -> bool + Send + Sync>);

/// An Event that is to be published.
struct Waiting {
    event: Event,
    about: ObjectReference,
    stays: Option<Stays>,
}

impl Waiting {
    /// Waits for its time. Events are published in the order in which they are told, so one behind it may be a moment late.
    async fn stays(&self) -> bool {
        let Some((due, stays)) = &self.stays else { return true };
        tokio::time::sleep_until(*due).await;
        stays()
    }
}

/// Where Events go. Never waits: an API server that is slow on Events holds nobody up.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Waiting>);

impl Events {
    /// Begins to publish; ends when the last handle is dropped.
    pub fn start(client: Client, may_write: MayWrite) -> Self {
        let (sender, mut all) = mpsc::channel::<Waiting>(WAITING);
        let reporter = Reporter { controller: format!("{MANAGER}.dev/operator"), instance: None };
        tokio::spawn(async move {
            let recorder = Recorder::new(client, reporter);
            while let Some(waiting) = all.recv().await {
                if !waiting.stays().await || !may_write() {
                    continue;
                }
                let Waiting { event, about, .. } = waiting;
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
            self.send(about.object_ref(&()), event(EventType::Warning, reason, "Reconcile", note), None);
        }
    }

    /// The same of a reason that may pass by itself: told when it still `stays` after a while.
    pub fn warn_if_it_stays<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        reason: Reason,
        note: &str,
        stays: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        if reason.telling() == Telling::Warning {
            let event = event(EventType::Warning, reason, "Reconcile", note);
            self.send(about.object_ref(&()), event, Some((Instant::now() + STANDS, Box::new(stays))));
        }
    }

    /// Tells that something new came. Events of one object, reason and `action` become one series with the first note,
    /// so what is new stands in the action.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: Reason, action: &str, note: &str) {
        self.send(about.object_ref(&()), event(EventType::Normal, reason, action, note), None);
    }

    fn send(&self, about: ObjectReference, event: Event, stays: Option<Stays>) {
        // A full channel drops the Event: the status says the same.
        let _ = self.0.try_send(Waiting { event, about, stays });
    }
}

fn event(type_: EventType, reason: Reason, action: &str, note: &str) -> Event {
    // The API takes notes of up to 1 kB.
    let note = Some(note.chars().take(1000).collect());
    Event { type_, reason: reason.to_string(), note, action: action.to_owned(), secondary: None }
}
