//! The way to the entries: each question with a token that is good, and what a refusal means.

use http::StatusCode;
use tokio::sync::Mutex;
use url::Url;

use super::{
    Settings,
    answer::{self, No},
    login::{Login, Session},
    place::Place,
    wire::{Answer, Body, Question, Wire},
};
use crate::store::StoreError;

/// A client of one server, with one login.
pub(super) struct Client {
    pub(super) place: Place,
    pub(super) wire: Wire,
    pub(super) login: Login,
    /// Held while a token is looked at: whoever else was denied with it waits, and learns from that.
    doubt: Mutex<()>,
}

/// Why somebody was denied.
enum Denial {
    /// The token was not good any more; there is another one, or will be.
    Outdated,
    /// Anything else.
    Final(StoreError),
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, StoreError> {
        let place = Place::new(&settings.address, &settings.mount, &settings.path_prefix)?;
        Ok(Self {
            wire: Wire::new(settings, place.is_tls())?,
            login: Login::new(settings, &place)?,
            place,
            doubt: Mutex::new(()),
        })
    }

    /// The body of a 200, or why there is none. `doing` names the permission that this needs.
    pub(super) async fn ask(&self, url: &Url, doing: &str) -> Result<Body, No> {
        match self.ask_once(url, doing).await {
            Err(Denial::Outdated) => match self.ask_once(url, doing).await {
                Err(Denial::Outdated) => Err(No::Error(self.login.way.refused())),
                Err(Denial::Final(error)) => Err(No::Error(error)),
                Ok(answer) => answer,
            },
            Err(Denial::Final(error)) => Err(No::Error(error)),
            Ok(answer) => answer,
        }
    }

    async fn ask_once(&self, url: &Url, doing: &str) -> Result<Result<Body, No>, Denial> {
        let session = self.login.session(&self.wire).await.map_err(Denial::Final)?;
        let answer = self.wire.ask(&Question::get(url, &session.token)).await.map_err(Denial::Final)?;
        if answer.status == StatusCode::OK {
            return Ok(Ok(answer.body));
        }
        Ok(Err(match answer::no(answer.status, &answer.body) {
            No::Denied => return Err(self.denied(&session, doing).await),
            No::Unavailable => No::Error(self.place.unavailable(&self.wire).await),
            no => no,
        }))
    }

    /// Both a bad token and a policy's denial are a 403. `lookup-self` is allowed to every token by the default policy;
    /// where a token has not even that, only the wording tells.
    async fn denied(&self, session: &Session, doing: &str) -> Denial {
        let _doubt = self.doubt.lock().await;
        if self.login.is_outdated(session) {
            return Denial::Outdated;
        }
        let forbidden = StoreError::Forbidden(format!("the token's policies do not allow to {doing}"));
        if self.login.was_found_good(session) {
            return Denial::Final(forbidden);
        }
        match self.look_up(session).await {
            Err(error) => Denial::Final(error),
            Ok(answer) if answer.status == StatusCode::FORBIDDEN && !answer::is_denied_by_policy(&answer.body) => {
                if self.login.give_up(session) {
                    Denial::Outdated
                } else {
                    Denial::Final(self.login.way.refused())
                }
            }
            Ok(answer) if matches!(answer.status, StatusCode::OK | StatusCode::FORBIDDEN) => {
                self.login.found_good(session);
                Denial::Final(forbidden)
            }
            // It could not say: neither is shown.
            Ok(answer) => Denial::Final(match answer::no(answer.status, &answer.body) {
                No::Error(error) => error,
                No::Unavailable => self.place.unavailable(&self.wire).await,
                _ => StoreError::Server(answer.status.as_u16()),
            }),
        }
    }

    async fn look_up(&self, session: &Session) -> Result<Answer, StoreError> {
        let url = self.place.api("auth/token/lookup-self");
        self.wire.ask(&Question::get(&url, &session.token)).await
    }

    /// Whether something else than KV version 2 is mounted where the entries should be. To such an engine every entry
    /// is merely missing. Not knowing counts as no.
    pub(super) async fn is_other_engine(&self) -> bool {
        let url = self.place.api(&format!("sys/internal/ui/mounts/{}", self.place.mount()));
        let Ok(session) = self.login.session(&self.wire).await else { return false };
        match self.wire.ask(&Question::get(&url, &session.token)).await {
            Ok(answer) if answer.status == StatusCode::OK => answer::is_kv2(&answer.body) == Some(false),
            _ => false,
        }
    }
}
