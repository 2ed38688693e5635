//! `GET /v1/status`: how the sync, the flow app and the pod stand. It all stands in the caches: nothing is asked.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ETAG, IF_NONE_MATCH},
};
use http_body_util::Full;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::super::{Answer, PodApi, caller::Caller, json, problem::Problem};
use crate::{
    cluster::cache::Key,
    resources::{
        AutoSync, FlowApp, SpaceSecretSync, SpaceSecretSyncStatus, Timestamp,
        owner::{self, AUTO_SYNC, SYNC_ON_SAVE},
        sync::LastSync,
    },
    sync::request::Request,
};

/// How everything stands. What is not known is `null`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The space that the namespace belongs to.
    space: Option<String>,
    /// The sync that serves the flow app; `null` where none does, and the conditions say why.
    sync: Option<String>,
    /// The space's version that the managed Secret holds.
    version: Option<u64>,
    /// What exactly it holds: `<version>-<fingerprint>`.
    #[schema(examples("43-9f3c0a1b2c3d4e5f"))]
    revision: Option<String>,
    /// When the space's first version was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When this version was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
    /// When this revision was read from the store.
    #[schema(value_type = Option<String>, format = DateTime)]
    issued_at: Option<Timestamp>,
    /// When the store last answered; a replica that does not lead knows it to 15 minutes.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_checked: Option<Timestamp>,
    /// When the sync looks for a new version by itself.
    auto_sync: Option<AutoSyncSetting>,
    /// Whether saving a flow asks for a sync.
    sync_on_save: SyncOnSaveSetting,
    /// Whether `spec.suspend` makes everything wait.
    suspended: bool,
    /// Whether a sync was asked for and is not done.
    syncing: bool,
    /// The last time that something was brought, asked for or failed.
    #[schema(value_type = Option<LastSyncDocument>)]
    last_sync: Option<LastSync>,
    /// The pod's flow app.
    flow_app: FlowAppDocument,
    /// How many flow apps the sync serves.
    flow_apps: Option<usize>,
    /// The pod itself.
    pod: PodDocument,
    /// Conditions of the sync, then those of the flow app that it does not have.
    conditions: Vec<ConditionDocument>,
}

/// A setting, and who has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoSyncSetting {
    /// The value in force.
    #[schema(value_type = String, examples("Live", "1m", "30m", "60m", "12h", "24h", "Manual"))]
    value: AutoSync,
    /// The field manager that owns it, such as `argocd-controller`; `null` where it may be set here.
    managed_by: Option<String>,
}

/// A setting, and who has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncOnSaveSetting {
    /// The value in force.
    value: bool,
    /// The field manager that owns it, such as `argocd-controller`; `null` where it may be set here.
    managed_by: Option<String>,
}

/// One look at the store.
#[derive(Debug, ToSchema)]
#[schema(as = LastSync)]
#[allow(dead_code, reason = "for the document only: `LastSync` is what is sent")]
pub struct LastSyncDocument {
    /// When.
    #[schema(format = DateTime)]
    time: String,
    /// What made the sync look: `schedule`, `live`, `manual`, `save`, `drift` or `first`.
    trigger: String,
    /// What came of it: `Synced`, `Unchanged` or `Failed`.
    result: String,
}

/// A flow app, and how many of its pods have loaded the revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlowApp)]
struct FlowAppDocument {
    /// Its name.
    name: String,
    /// The Flow App's version.
    #[schema(examples("5.3.0"))]
    version: String,
    /// Its running pods.
    pods: Option<usize>,
    /// Those that have acknowledged the current revision.
    loaded: Option<usize>,
}

/// A pod, and what it was told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pod)]
struct PodDocument {
    /// Its name.
    name: String,
    /// The revision that it was told.
    told: Option<String>,
    /// The revision that it has acknowledged.
    loaded: Option<String>,
}

/// A condition as `kubectl` shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Condition)]
struct ConditionDocument {
    /// Such as `Synced` or `Loaded`.
    r#type: String,
    /// `True`, `False` or `Unknown`.
    status: String,
    /// In one word.
    reason: String,
    /// For people.
    message: String,
    /// When the status last changed.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// How the sync, the flow app and the pod stand.
///
/// The answer has an `ETag`; with it in `If-None-Match`, an answer that would be the same is `304`.
#[utoipa::path(
    get,
    path = "/v1/status",
    operation_id = "status",
    params(("If-None-Match" = Option<String>, Header, description = "the `ETag` of the last answer")),
    responses(
        (status = 200, description = "how everything stands", body = Status,
         headers(("ETag" = String, description = "of this answer"))),
        (status = 304, description = "as in the answer with this `ETag`"),
    )
)]
pub fn answer(api: &PodApi, caller: &Caller, headers: &HeaderMap) -> Result<Answer, Problem> {
    api.limits.status(&caller.pod.uid)?;
    api.limits.space(caller.tenant())?;
    let status = build(caller, last_checked(api, caller));
    let etag = etag(&status);
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let mut response = if is_known {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json(StatusCode::OK, &status)
    };
    response.headers_mut().insert(ETAG, HeaderValue::from_str(&etag).expect("hex in quotes"));
    Ok(response)
}

/// Of names and times, so nothing can be learned from it.
fn etag(status: &Status) -> String {
    let text = serde_json::to_vec(status).expect("names and times are always JSON");
    format!("\"{}\"", hex::encode(&Sha256::digest(text)[..12]))
}

/// What this replica heard itself, else what the leader wrote down.
fn last_checked(api: &PodApi, caller: &Caller) -> Option<Timestamp> {
    let space = api.ctx.caches.spaces.get(&Key::cluster(caller.space.as_deref()?))?;
    let manager = &space.spec.secret_manager_ref.name;
    let heard = api.ctx.reach.seen(manager).and_then(|seen| seen.answered).map(Timestamp);
    let written = api.ctx.caches.managers.get(&Key::cluster(manager))?.status.as_ref()?.last_checked;
    heard.max(written)
}

fn build(caller: &Caller, last_checked: Option<Timestamp>) -> Status {
    let sync = caller.sync.as_deref();
    let of_sync = sync.and_then(|sync| sync.status.clone()).unwrap_or_default();
    let of_app = caller.app.status.clone().unwrap_or_default();
    let suspended = sync.is_some_and(|sync| sync.spec.is_suspended());
    Status {
        space: caller.space.clone().or_else(|| of_sync.space.clone()),
        sync: sync.and_then(|sync| sync.metadata.name.clone()),
        version: of_sync.version,
        revision: of_sync.revision.clone(),
        created_at: of_sync.created_at,
        updated_at: of_sync.updated_at,
        issued_at: of_sync.issued_at,
        last_checked,
        auto_sync: sync.map(auto_sync),
        sync_on_save: sync_on_save(&caller.app),
        suspended,
        syncing: !suspended && sync.is_some_and(|sync| Request::pending(sync).is_some()),
        last_sync: of_sync.last_sync.clone(),
        flow_app: FlowAppDocument {
            name: caller.app.metadata.name.clone().unwrap_or_default(),
            version: caller.app.spec.version.clone(),
            pods: of_app.pods,
            loaded: of_app.loaded,
        },
        flow_apps: of_sync.delivery.as_ref().map(|delivery| delivery.flow_apps),
        pod: PodDocument {
            name: caller.pod.name.clone(),
            told: caller.pod.revision.clone(),
            loaded: caller.pod.loaded.as_ref().filter(|ack| ack.loaded).map(|ack| ack.revision.clone()),
        },
        conditions: conditions(&of_sync, &of_app.conditions),
    }
}

fn conditions(of_sync: &SpaceSecretSyncStatus, of_app: &[Condition]) -> Vec<ConditionDocument> {
    let known = |type_: &str| of_sync.conditions.iter().any(|condition| condition.type_ == type_);
    let others = of_app.iter().filter(|condition| !known(&condition.type_));
    let document = |condition: &Condition| ConditionDocument {
        r#type: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: condition.last_transition_time.0.into(),
    };
    of_sync.conditions.iter().chain(others).map(document).collect()
}

/// `autoSync` as it is in force.
pub fn auto_sync(sync: &SpaceSecretSync) -> AutoSyncSetting {
    AutoSyncSetting {
        value: sync.spec.effective_auto_sync(),
        managed_by: owner::foreign(&sync.metadata, AUTO_SYNC).map(str::to_owned),
    }
}

/// `syncOnSave` as it is in force.
pub fn sync_on_save(app: &FlowApp) -> SyncOnSaveSetting {
    SyncOnSaveSetting {
        value: app.spec.effective_sync_on_save(),
        managed_by: owner::foreign(&app.metadata, SYNC_ON_SAVE).map(str::to_owned),
    }
}
