//! `PATCH /v1/settings`: what people set in the editor's sidebar, by server-side apply with one field manager a field.
//! So a field that GitOps owns is refused with its owner's name, and one that is given back goes to its default.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::{
    super::{
        Answer, PodApi,
        authentication::away,
        caller::Caller,
        fields::Fields,
        json as answer_json,
        problem::{Problem, What},
    },
    status::{AutoSyncSetting, SyncOnSaveSetting, auto_sync, sync_on_save},
};
use crate::{
    cluster::{Error, Kind},
    resources::{
        AutoSync, SpaceSecretSync,
        owner::{self, AUTO_SYNC, SYNC_ON_SAVE},
    },
};

/// What is to be set. `null` gives a field back to its default; one that is absent stays as it is.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SettingsRequest)]
#[allow(dead_code, reason = "for the document only: bodies are read field by field")]
pub struct Document {
    /// When the sync looks by itself.
    #[schema(examples("Live", "1m", "30m", "60m", "12h", "24h", "Manual"))]
    auto_sync: Option<String>,
    /// Whether saving a flow asks for a sync.
    sync_on_save: Option<bool>,
}

/// What is in force now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// When the sync looks by itself; `null` where no sync serves the app.
    auto_sync: Option<AutoSyncSetting>,
    /// Whether saving a flow asks for a sync.
    sync_on_save: SyncOnSaveSetting,
}

/// A field, and what it is to be: `None` where it is given back.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    field: &'static str,
    value: Option<Json>,
}

fn read(fields: &Fields) -> Result<(Option<Change>, Option<Change>), Problem> {
    let schedules = "one of Live, 1m, 30m, 60m, 12h, 24h, Manual, or null";
    let auto_sync = match fields.raw(AUTO_SYNC) {
        None => None,
        Some(Json::Null) => Some(None),
        Some(value) => {
            let known = serde_json::from_value::<AutoSync>(value.clone()).is_ok();
            Some(Some(known.then(|| value.clone()).ok_or_else(|| fields.wrong(AUTO_SYNC, schedules))?))
        }
    };
    let sync_on_save = match fields.raw(SYNC_ON_SAVE) {
        None => None,
        Some(Json::Null) => Some(None),
        Some(value @ Json::Bool(_)) => Some(Some(value.clone())),
        Some(_) => return Err(fields.wrong(SYNC_ON_SAVE, "true, false or null")),
    };
    if auto_sync.is_none() && sync_on_save.is_none() {
        return Err(Problem::new(What::Malformed, "send autoSync, syncOnSave or both"));
    }
    let change = |field| move |value| Change { field, value };
    Ok((auto_sync.map(change(AUTO_SYNC)), sync_on_save.map(change(SYNC_ON_SAVE))))
}

/// Sets what people choose in the editor's sidebar: all of it or nothing.
///
/// 10 in a minute for each pod. A field that somebody else owns is refused with the owner's name.
#[utoipa::path(
    patch,
    path = "/v1/settings",
    operation_id = "settings",
    request_body = Document,
    responses((status = 200, description = "what is in force now", body = Settings))
)]
pub async fn answer(api: &PodApi, caller: &Caller, fields: &Fields) -> Result<Answer, Problem> {
    let (auto, on_save) = read(fields)?;
    // Its own first: a pod that asks too often takes nothing from the others of its space.
    api.limits.settings(&caller.pod.uid)?;
    api.limits.space(caller.tenant())?;
    let mut sync = caller.sync.as_deref().cloned();
    let mut app = (*caller.app).clone();
    let auto = match auto {
        Some(change) => {
            let sync = caller.sync()?;
            due(&**sync, change, sync.spec.auto_sync.map(|value| json!(value)).as_ref())?
        }
        None => None,
    };
    let on_save = match on_save {
        Some(change) => due(&app, change, app.spec.sync_on_save.map(Json::Bool).as_ref())?,
        None => None,
    };
    // Of two, the second must be sure to succeed before the first is written.
    if let (Some(_), Some(change)) = (&auto, &on_save) {
        apply(api, &app, change, true).await?;
    }
    if let (Some(change), Some(sync)) = (&auto, &mut sync) {
        *sync = apply(api, sync, change, false).await?;
        api.ctx.caches.syncs.put(sync.clone());
    }
    if let Some(change) = &on_save {
        match apply(api, &app, change, false).await {
            Ok(written) => app = written,
            Err(problem) => {
                take_back(api, caller, sync.as_ref(), auto.as_ref()).await;
                return Err(problem);
            }
        }
        api.ctx.caches.flow_apps.put(app.clone());
    }
    let settings = Settings { auto_sync: sync.as_ref().map(auto_sync), sync_on_save: sync_on_save(&app) };
    Ok(answer_json(StatusCode::OK, &settings))
}

/// What is to be written of a change; nothing where it is so already. Refused where the field is somebody else's.
fn due<K: Kind>(object: &K, change: Change, now: Option<&Json>) -> Result<Option<Change>, Problem> {
    let meta = object.meta();
    if let Some(foreign) = owner::foreign(meta, change.field) {
        return Err(owned(change.field, foreign));
    }
    let is_so = change.value.as_ref() == now && (now.is_some() || !owner::is_ours(meta, change.field));
    Ok((!is_so).then_some(change))
}

fn owned(field: &str, by: &str) -> Problem {
    let detail = format!("{by} sets {field}; change it there, or remove it there so that it can be set here");
    Problem { field: Some(field.to_owned()), owner: Some(by.to_owned()), ..Problem::new(What::FieldOwned, detail) }
}

async fn apply<K: Kind>(api: &PodApi, object: &K, change: &Change, dry_run: bool) -> Result<K, Problem> {
    let written = api.cluster.apply_field(object, change.field, change.value.as_ref(), dry_run).await;
    written.map_err(|error| refused(change.field, &error))
}

/// The second write failed after the first, which its trial should have kept from happening: somebody was faster.
async fn take_back(api: &PodApi, caller: &Caller, sync: Option<&SpaceSecretSync>, auto: Option<&Change>) {
    let (Some(sync), Some(change), Some(before)) = (sync, auto, caller.sync.as_deref()) else { return };
    let ours = owner::is_ours(&before.metadata, change.field);
    let value = before.spec.auto_sync.filter(|_| ours).map(|value| json!(value));
    match apply(api, sync, &Change { field: change.field, value }, false).await {
        Ok(sync) => api.ctx.caches.syncs.put(sync),
        Err(problem) => tracing::warn!(?problem, "a setting could not be taken back"),
    }
}

fn refused(field: &str, error: &Error) -> Problem {
    tracing::debug!(field, %error, "a setting was refused");
    match error {
        Error::Conflict(why) if why.starts_with("Apply failed") => {
            owned(field, why.split('"').nth(1).unwrap_or("somebody else"))
        }
        Error::Conflict(_) | Error::NotFound | Error::Invalid(_) => {
            Problem::new(What::Changed, "it was changed at the same time; look at the status and try again")
        }
        other => away(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &Json) -> Result<(Option<Change>, Option<Change>), Problem> {
        read(&Fields::read(body.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn null_gives_back_and_absent_leaves_alone() {
        let change = |field, value| Some(Change { field, value });
        assert_eq!(of(&json!({"autoSync": "30m"})).unwrap(), (change(AUTO_SYNC, Some(json!("30m"))), None));
        assert_eq!(of(&json!({"autoSync": null})).unwrap(), (change(AUTO_SYNC, None), None));
        assert_eq!(of(&json!({"syncOnSave": false})).unwrap(), (None, change(SYNC_ON_SAVE, Some(json!(false)))));
        assert_eq!(of(&json!({"newer": 1})).unwrap_err().what, What::Malformed);
    }

    #[test]
    fn what_is_no_setting_is_refused_by_its_name_and_not_quoted() {
        for (body, field) in [
            (json!({"autoSync": "hunter2"}), "autoSync"),
            (json!({"autoSync": 30}), "autoSync"),
            (json!({"autoSync": {"hunter2": 1}}), "autoSync"),
            (json!({"syncOnSave": "hunter2"}), "syncOnSave"),
        ] {
            let problem = of(&body).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field));
            assert!(!problem.detail.contains("hunter"), "{}", problem.detail);
        }
    }

    #[test]
    fn the_owner_is_named_also_where_only_the_api_server_knows_it() {
        let why = "Apply failed with 1 conflict: conflict with \"argocd-controller\" using spacesync.dev/v1alpha1: .spec.autoSync";
        let problem = refused(AUTO_SYNC, &Error::Conflict(why.into()));
        assert_eq!((problem.what, problem.owner.as_deref()), (What::FieldOwned, Some("argocd-controller")));
        assert_eq!(refused(AUTO_SYNC, &Error::Conflict("uid mismatch".into())).what, What::Changed);
        assert_eq!(refused(AUTO_SYNC, &Error::TimedOut).what, What::Unavailable);
    }
}
