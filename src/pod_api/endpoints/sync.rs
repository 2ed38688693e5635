//! `POST /v1/sync`: *Sync now*, and the save of a flow. It becomes the annotation that every way to ask ends in, so any
//! replica can take it and the leader sees it, also the next one. The answer is what the watch then tells of the sync.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::super::{
    Answer, PodApi,
    authentication::away,
    caller::Caller,
    fields::Fields,
    json,
    problem::{Problem, What},
};
use crate::{
    cluster::{
        Error,
        cache::{Item, Key},
    },
    resources::{Outcome, Reason, SpaceSecretSync, Timestamp, Trigger, condition::find, names::SYNC_REQUESTED},
    sync::request::Request,
};

/// The longest wait for a result.
const MAX_WAIT: u32 = 30;
/// A write that meets another one is tried again with what is there now.
const ATTEMPTS: usize = 5;
/// Whose turn it is to ask for a sync; by its UID, a few at a time.
const TURNS: usize = 64;

/// What is asked for.
#[derive(Debug, ToSchema)]
#[schema(as = SyncRequest)]
#[allow(dead_code, reason = "for the document only: bodies are read field by field")]
pub struct Document {
    /// `manual` for *Sync now*; `save` when a flow was saved, which `syncOnSave` may turn off.
    #[schema(examples("manual", "save"))]
    trigger: String,
    /// How many seconds the answer may wait for the result: 0 to 30, or `true` for 30. 0 where it is absent.
    #[schema(value_type = Option<u32>, maximum = 30)]
    wait: Option<u32>,
}

/// What became of it.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncResult {
    /// What stands in the annotation `spacesync.dev/sync-requested`; of one that was under way already, if there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("manual/1764000000123456789-9f3c"))]
    request: Option<String>,
    /// `done`; `pending`: the result will show in the status; `suspended`: it is done when `spec.suspend` ends; `off`:
    /// `syncOnSave` is.
    #[schema(examples("done", "pending", "suspended", "off"))]
    state: &'static str,
    /// `Synced`, or the reason why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The version that is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// The revision that is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// Whether it brought something new.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    /// When that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    checked_at: Option<Timestamp>,
}

/// Lets one pod after the other ask for the same sync, so that all of an app that was deployed join one request.
#[derive(Debug)]
pub struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Turns {
    fn of(&self, uid: &str) -> &Mutex<()> {
        &self.0[uid.bytes().fold(0, |sum, byte| sum + usize::from(byte)) % TURNS]
    }
}

struct Asked {
    trigger: Trigger,
    wait: Duration,
}

impl Asked {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let trigger = match fields.text("trigger", 16)? {
            Some("manual") => Trigger::Manual,
            Some("save") => Trigger::Save,
            _ => return Err(fields.wrong("trigger", "manual or save")),
        };
        let wait = match fields.raw("wait") {
            Some(Json::Bool(wait)) => {
                if *wait {
                    MAX_WAIT
                } else {
                    0
                }
            }
            _ => fields.count("wait", MAX_WAIT)?.unwrap_or_default(),
        };
        Ok(Self { trigger, wait: Duration::from_secs(wait.into()) })
    }
}

/// Asks for a sync, or joins who asked, and waits for what comes of it.
///
/// One in 2 s for each pod; to join one that is under way costs nothing. The request survives the end of any replica.
#[utoipa::path(
    post,
    path = "/v1/sync",
    operation_id = "sync",
    request_body = Document,
    responses(
        (status = 200, description = "`done`, or `off`: nothing was asked for", body = SyncResult),
        (status = 202, description = "`pending` or `suspended`: it is done later", body = SyncResult),
    )
)]
pub async fn answer(api: &Arc<PodApi>, caller: &Caller, fields: &Fields) -> Result<Answer, Problem> {
    let asked = Asked::read(fields)?;
    api.limits.space(caller.tenant())?;
    let sync = caller.sync()?;
    if asked.trigger == Trigger::Save && !caller.app.spec.effective_sync_on_save() {
        return Ok(json(StatusCode::OK, &SyncResult { state: "off", ..SyncResult::default() }));
    }
    let request = ask(api, caller, sync, asked.trigger).await?;
    let result = follow(api, sync, request, asked.wait).await?;
    Ok(json(if result.state == "done" { StatusCode::OK } else { StatusCode::ACCEPTED }, &result))
}

/// Writes the annotation unless a request is pending, and gives the request's name.
async fn ask(api: &PodApi, caller: &Caller, sync: &SpaceSecretSync, trigger: Trigger) -> Result<String, Problem> {
    let uid = sync.metadata.uid.as_deref().unwrap_or_default();
    let _turn = api.turns.of(uid).lock().await;
    let mut limited = false;
    for _ in 0..ATTEMPTS {
        let there = current(api, sync)?;
        if let Some(pending) = Request::pending(&there) {
            return Ok(pending.value);
        }
        // Whoever joins costs nothing.
        if !std::mem::replace(&mut limited, true) {
            api.limits.sync(&caller.pod.uid)?;
        }
        let value = name(trigger, jiff::Timestamp::now());
        match api.cluster.annotate(&*there, SYNC_REQUESTED, &value).await {
            Ok(written) => {
                api.ctx.caches.syncs.put(written);
                return Ok(value);
            }
            // Our own turn, but another replica or the controller was faster.
            Err(Error::Conflict(_)) => refresh(api, &there.key()).await?,
            Err(Error::NotFound | Error::Invalid(_)) => return Err(gone()),
            Err(error) => return Err(away(&error)),
        }
    }
    Err(away(&Error::TimedOut))
}

fn name(trigger: Trigger, now: jiff::Timestamp) -> String {
    let mut random = [0; 2];
    getrandom::fill(&mut random).expect("the system has randomness");
    format!("{}/{}-{}", trigger.as_str(), now.as_nanosecond(), hex::encode(random))
}

async fn refresh(api: &PodApi, key: &Key) -> Result<(), Problem> {
    let read = api.cluster.get::<SpaceSecretSync>(Some(&key.namespace), &key.name).await;
    let there = read.map_err(|error| away(&error))?.ok_or_else(gone)?;
    api.ctx.caches.syncs.put(there);
    Ok(())
}

/// The same sync as it is now.
fn current(api: &PodApi, sync: &SpaceSecretSync) -> Result<Arc<SpaceSecretSync>, Problem> {
    let there = api.ctx.caches.syncs.get(&sync.key());
    there.filter(|there| there.metadata.uid == sync.metadata.uid).ok_or_else(gone)
}

fn gone() -> Problem {
    Problem::new(What::NoSync, "the sync was deleted at the same time; look at the status")
}

/// Watches the sync until the request is dealt with, or for as long as was asked for.
async fn follow(api: &PodApi, sync: &SpaceSecretSync, request: String, wait: Duration) -> Result<SyncResult, Problem> {
    let (mut changes, mut stopping) = (api.ctx.caches.syncs.changes(), api.stopping.subscribe());
    let mut over = std::pin::pin!(tokio::time::sleep(wait));
    loop {
        changes.mark_unchanged();
        let there = current(api, sync)?;
        if is_done(&there, &request) {
            return Ok(done(&there, request));
        }
        if there.spec.is_suspended() {
            return Ok(SyncResult { request: Some(request), state: "suspended", ..SyncResult::default() });
        }
        let pending = || SyncResult { request: Some(request.clone()), state: "pending", ..SyncResult::default() };
        tokio::select! {
            _ = changes.changed() => {}
            () = &mut over => return Ok(pending()),
            _ = stopping.wait_for(|stop| *stop) => return Ok(pending()),
        }
    }
}

/// Also where another request took its place and that was dealt with: it began later. One whose annotation somebody
/// removed is not.
fn is_done(sync: &SpaceSecretSync, request: &str) -> bool {
    let handled = sync.status.as_ref().and_then(|status| status.last_handled_sync_request.as_deref());
    let asked = sync.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(SYNC_REQUESTED));
    handled == Some(request) || (asked && Request::pending(sync).is_none())
}

fn done(sync: &SpaceSecretSync, request: String) -> SyncResult {
    let status = sync.status.clone().unwrap_or_default();
    let synced = find(&status.conditions, "Synced");
    SyncResult {
        request: Some(request),
        state: "done",
        result: Some(synced.map_or(Reason::Pending.to_string(), |condition| condition.reason.clone())),
        message: synced.map(|condition| condition.message.clone()),
        version: status.version,
        revision: status.revision,
        changed: status.last_sync.as_ref().map(|last| last.result == Outcome::Synced),
        checked_at: status.last_sync.map(|last| last.time),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::resources::{SpaceSecretSyncSpec, SpaceSecretSyncStatus};

    fn read(body: &Json) -> Result<(Trigger, u64), Problem> {
        let asked = Asked::read(&Fields::read(body.to_string().as_bytes()).unwrap())?;
        Ok((asked.trigger, asked.wait.as_secs()))
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_the_longest() {
        let table = [
            (json!({"trigger": "manual"}), Ok((Trigger::Manual, 0))),
            (json!({"trigger": "save", "wait": 30}), Ok((Trigger::Save, 30))),
            (json!({"trigger": "manual", "wait": true}), Ok((Trigger::Manual, 30))),
            (json!({"trigger": "manual", "wait": false}), Ok((Trigger::Manual, 0))),
            (json!({"trigger": "manual", "wait": null}), Ok((Trigger::Manual, 0))),
            (json!({"trigger": "manual", "wait": 31}), Err("wait")),
            (json!({"trigger": "manual", "wait": -1}), Err("wait")),
            (json!({"trigger": "manual", "wait": "5"}), Err("wait")),
            (json!({"trigger": "live"}), Err("trigger")),
            (json!({"trigger": 7}), Err("trigger")),
            (json!({}), Err("trigger")),
        ];
        for (body, expected) in table {
            let seen = read(&body).map_err(|problem| problem.field.unwrap());
            assert_eq!(seen, expected.map_err(str::to_owned), "{body}");
        }
    }

    #[test]
    fn a_request_is_done_when_it_or_one_that_took_its_place_was_dealt_with() {
        let sync = |asked: Option<&str>, handled: Option<&str>| {
            let mut sync = SpaceSecretSync::new("s", SpaceSecretSyncSpec::default());
            sync.metadata.annotations = asked.map(|asked| BTreeMap::from([(SYNC_REQUESTED.to_owned(), asked.into())]));
            let last_handled_sync_request = handled.map(str::to_owned);
            sync.status = Some(SpaceSecretSyncStatus { last_handled_sync_request, ..Default::default() });
            sync
        };
        let table = [
            (Some("manual/1"), None, false),
            (Some("manual/1"), Some("manual/1"), true),
            (Some("manual/2"), Some("manual/1"), true),
            (Some("manual/2"), Some("manual/2"), true),
            (Some("manual/2"), Some("manual/0"), false),
            (None, Some("manual/0"), false),
        ];
        for (asked, handled, expected) in table {
            assert_eq!(is_done(&sync(asked, handled), "manual/1"), expected, "{asked:?} {handled:?}");
        }
    }

    #[test]
    fn the_name_of_a_request_says_who_asked_and_when_and_is_never_the_same() {
        let now = jiff::Timestamp::from_nanosecond(1_764_000_000_123_456_789).unwrap();
        let name = name(Trigger::Save, now);
        assert!(name.starts_with("save/1764000000123456789-") && name.len() == "save/1764000000123456789-9f3c".len());
    }
}
