//! Events: a Warning for what someone must act on, one Normal per new version. Never one per cycle.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    cluster::MayWrite,
    resources::{Reason, names::MANAGER, reason::Telling},
};

/// How many Events may wait; more are dropped, for the status says the same.
const WAITING: usize = 1024;

/// How long a reason must stand before somebody is called: what is applied together is complete in a moment.
const STANDS: Duration = Duration::from_secs(1);

/// What is told again within this time is the same Event once more, as for client-go.
const SERIES: Duration = Duration::from_mins(6);

/// How many Events are remembered for that. The others are told anew.
const REMEMBERED: usize = 1024;

/// The longest that one may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// When to ask whether a reason still stands, and how.
type Stays = (Instant, Box<dyn Fn() -> bool + Send + Sync>);

/// What is told: of one object, reason and action one series, with the first note.
struct Told {
    type_: &'static str,
    reason: Reason,
    action: String,
    note: String,
}

/// An Event that is to be published.
struct Waiting {
    told: Told,
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

/// Which Event it is once more: its object's UID, and what it says.
type Key = (String, &'static str, Reason, String);

/// An Event that was written.
struct Written {
    namespace: String,
    name: String,
    at: Timestamp,
    count: i32,
}

/// Writes Events, and of what is told again how often. kube's own recorder keeps each Event whole, until another comes six
/// minutes later, and looks through all of them before each: after the first sync of 2,000 those were 2,000.
struct Recorder {
    client: Client,
    written: HashMap<Key, Written>,
}

impl Recorder {
    async fn publish(&mut self, told: Told, about: ObjectReference) -> kube::Result<()> {
        let now = Timestamp::now();
        let key = (about.uid.clone().unwrap_or_default(), told.type_, told.reason, told.action.clone());
        if let Some(written) = self.written.get_mut(&key).filter(|written| written.is_fresh(now)) {
            (written.at, written.count) = (now, written.count.saturating_add(1));
            let series = EventSeries { count: written.count, last_observed_time: MicroTime(now) };
            let api = Api::<Event>::namespaced(self.client.clone(), &written.namespace);
            let patch = Patch::Merge(json!({"series": series}));
            match api.patch(&written.name, &PatchParams::default(), &patch).await {
                // Somebody deleted it: it is told anew, as by client-go.
                Err(kube::Error::Api(status)) if status.code == 404 => drop(self.written.remove(&key)),
                done => return done.map(drop),
            }
        }
        let event = event(told, about, now);
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let name = event.metadata.name.clone().unwrap_or_default();
        Api::<Event>::namespaced(self.client.clone(), &namespace).create(&PostParams::default(), &event).await?;
        self.remember(key, Written { namespace, name, at: now, count: 1 });
        Ok(())
    }

    fn remember(&mut self, key: Key, written: Written) {
        if self.written.len() >= REMEMBERED {
            let now = written.at;
            self.written.retain(|_, written| written.is_fresh(now));
        }
        if self.written.len() < REMEMBERED {
            self.written.insert(key, written);
        }
    }
}

impl Written {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).unsigned_abs() < SERIES
    }
}

fn event(told: Told, about: ObjectReference, now: Timestamp) -> Event {
    let controller = format!("{MANAGER}.dev/operator");
    let name = about.name.as_deref().unwrap_or(&controller);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            // Where those of objects without a namespace are.
            namespace: Some(about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        type_: Some(told.type_.to_owned()),
        reason: Some(told.reason.to_string()),
        action: Some(told.action),
        note: Some(told.note),
        event_time: Some(MicroTime(now)),
        reporting_instance: Some(controller.clone()),
        reporting_controller: Some(controller),
        regarding: Some(about),
        ..Event::default()
    }
}

/// Where Events go. Never waits: an API server that is slow on Events holds nobody up.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Waiting>);

impl Events {
    /// Begins to publish; ends when the last handle is dropped.
    pub fn start(client: Client, may_write: MayWrite) -> Self {
        let (sender, mut all) = mpsc::channel::<Waiting>(WAITING);
        tokio::spawn(async move {
            let mut recorder = Recorder { client, written: HashMap::new() };
            while let Some(waiting) = all.recv().await {
                if !waiting.stays().await || !may_write() {
                    continue;
                }
                let Waiting { told, about, .. } = waiting;
                let reason = told.reason;
                let published = tokio::time::timeout(DEADLINE, recorder.publish(told, about)).await;
                if !matches!(published, Ok(Ok(()))) {
                    tracing::debug!(%reason, "an Event could not be published");
                }
            }
        });
        Self(sender)
    }

    /// Tells of a reason that someone must act on; quiet reasons are not told.
    pub fn warn<K: Resource<DynamicType = ()>>(&self, about: &K, reason: Reason, note: &str) {
        if reason.telling() == Telling::Warning {
            self.send(about.object_ref(&()), told("Warning", reason, "Reconcile", note), None);
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
            let told = told("Warning", reason, "Reconcile", note);
            self.send(about.object_ref(&()), told, Some((Instant::now() + STANDS, Box::new(stays))));
        }
    }

    /// Tells that something new came. Events of one object, reason and `action` become one series with the first note,
    /// so what is new stands in the action.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: Reason, action: &str, note: &str) {
        debug_assert_eq!(reason.telling(), Telling::Normal, "{reason}");
        self.send(about.object_ref(&()), told("Normal", reason, action, note), None);
    }

    fn send(&self, about: ObjectReference, told: Told, stays: Option<Stays>) {
        // A full channel drops the Event: the status says the same.
        let _ = self.0.try_send(Waiting { told, about, stays });
    }
}

fn told(type_: &'static str, reason: Reason, action: &str, note: &str) -> Told {
    // The API takes notes of up to 1 kB.
    let note = note[..note.floor_char_boundary(1000)].to_owned();
    Told { type_, reason, action: action.to_owned(), note }
}
