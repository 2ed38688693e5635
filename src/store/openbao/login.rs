//! One login for all requests of one `SecretManager`: renewed before it ends, and made anew once when it was revoked.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderValue, StatusCode};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::{
    answer::{self, Granted, No},
    lease::{Due, Lease},
    place::Place,
    settings::{Credential, Observer, Settings},
    way::Way,
    wire::{Body, Question, Wire},
};
use crate::store::StoreError;

/// For so long a token that was found good is not asked about again, lest each denial costs two requests.
const STAYS_GOOD: Duration = Duration::from_secs(10);

/// For so long a login that failed is everybody's answer: thousands of syncs that wait for it must not each try.
const STAYS_FAILED: Duration = Duration::from_secs(2);

/// A token that is due is not looked at more often.
const SOON: Duration = Duration::from_secs(1);

/// A token to send.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) token: HeaderValue,
    number: u64,
}

/// The way in, and the token that came of it.
pub(super) struct Login {
    pub(super) way: Way,
    place: Place,
    observer: Observer,
    state: Mutex<State>,
    /// Held by whoever logs in or renews.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    logins: u64,
    failed: Option<(Instant, StoreError)>,
}

#[derive(Clone)]
struct Held {
    session: Session,
    lease: Option<Lease>,
    /// Of a given token: whether it was looked up how long it lives.
    is_looked_up: bool,
    good_until: Option<Instant>,
}

impl Login {
    pub(super) fn new(settings: &Settings, place: &Place) -> Result<Self, StoreError> {
        let mut state = State::default();
        if let Credential::Token(token) = &settings.credential {
            let session = Session { token: header(token.expose_secret())?, number: 0 };
            state.held = Some(Held { session, lease: None, is_looked_up: false, good_until: None });
        }
        let way = Way::of(&settings.credential);
        way.url(place)?;
        Ok(Self {
            way,
            place: place.clone(),
            observer: settings.observer.clone(),
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// A token that is good as far as we know. Whoever comes first when one is due sees to it; the others go on with
    /// the old one while it lasts, and wait for the new one when it has ended.
    pub(super) async fn session(&self, wire: &Wire) -> Result<Session, StoreError> {
        let now = Instant::now();
        let held = self.state().held.clone();
        if let Some(held) = held.filter(|held| self.is_usable(held, now)) {
            if held.due(now) == Due::Nothing || self.is_beyond_us(&held, now) {
                return Ok(held.session);
            }
            if let Ok(_turn) = self.turn.try_lock() {
                // As it is now: somebody may have had the turn just before.
                let held = self.state().held.clone().unwrap_or_else(|| held.clone());
                self.prolong(wire, &held).await;
            }
            return Ok(self.state().held.as_ref().map_or(held.session, |held| held.session.clone()));
        }
        let _turn = self.turn.lock().await;
        {
            let (now, state) = (Instant::now(), self.state());
            if let Some(held) = state.held.as_ref().filter(|held| self.is_usable(held, now)) {
                return Ok(held.session.clone());
            }
            if let Some((_, error)) = state.failed.as_ref().filter(|(at, _)| now < *at + STAYS_FAILED) {
                return Err(error.clone());
            }
        }
        let done = self.log_in(wire).await;
        if let Err(error) = &done {
            self.state().failed = Some((Instant::now(), error.clone()));
        }
        done
    }

    /// Sees to a token that is due before somebody needs it. Says how long until the next is.
    pub(super) async fn keep(&self, wire: &Wire) -> Option<Duration> {
        let held = self.state().held.clone()?;
        if self.way.is_given() && !held.is_looked_up {
            self.look_up(wire, &held).await;
        } else if held.due(Instant::now()) != Due::Nothing && self.is_usable(&held, Instant::now()) {
            // What fails here is met again, and told, by whoever needs the token.
            let _ = self.session(wire).await;
        }
        let now = Instant::now();
        let state = self.state();
        let held = state.held.as_ref().filter(|held| self.is_usable(held, now) && !self.is_beyond_us(held, now))?;
        // Another may be renewing it at this moment.
        held.lease.as_ref().map(|lease| lease.rest(now).max(SOON))
    }

    /// Whether another token has taken this one's place, or is to.
    pub(super) fn is_outdated(&self, session: &Session) -> bool {
        self.state().held.as_ref().is_none_or(|held| held.session.number != session.number)
    }

    /// Takes a token out of use that the server does not know any more. Says whether there can be another.
    pub(super) fn give_up(&self, session: &Session) -> bool {
        if self.way.is_given() {
            return false;
        }
        self.state().held.take_if(|held| held.session.number == session.number);
        true
    }

    pub(super) fn was_found_good(&self, session: &Session) -> bool {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| held.session.number == session.number);
        held.and_then(|held| held.good_until).is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn found_good(&self, session: &Session) {
        if let Some(held) = self.state().held.as_mut().filter(|held| held.session.number == session.number) {
            held.good_until = Some(Instant::now() + STAYS_GOOD);
        }
    }

    /// A given token is used until the server refuses it: nobody here has another.
    fn is_usable(&self, held: &Held, now: Instant) -> bool {
        self.way.is_given() || held.lease.as_ref().is_none_or(|lease| !lease.has_ended(now))
    }

    fn is_beyond_us(&self, held: &Held, now: Instant) -> bool {
        self.way.is_given() && held.due(now) == Due::Login
    }

    /// With the turn held, and a token that lasts a while yet.
    async fn prolong(&self, wire: &Wire, held: &Held) {
        let now = Instant::now();
        let done = match held.due(now) {
            Due::Nothing => return,
            Due::Renewal => match self.renew(wire, held).await {
                // It has lived as long as it may, or may not renew itself.
                Err(StoreError::Unauthorized(_)) if !self.way.is_given() => self.log_in(wire).await.map(drop),
                other => other,
            },
            Due::Login => self.log_in(wire).await.map(drop),
        };
        if done.is_err() {
            self.change(&held.session, |held| held.lease = held.lease.as_ref().map(|lease| lease.postponed(now)));
        }
    }

    async fn renew(&self, wire: &Wire, held: &Held) -> Result<(), StoreError> {
        let url = self.place.api("auth/token/renew-self");
        let now = Instant::now();
        let granted = match wire.ask(&Question::post(&url, Some(&held.session.token), Body::new(b"{}".to_vec()))).await
        {
            Ok(answer) if answer.status == StatusCode::OK => answer::granted(&answer.body),
            Ok(answer) => Err(self.error(wire, answer::no(answer.status, &answer.body), &answer.body).await),
            Err(error) => Err(error),
        };
        self.observer.tell("renewal", granted.as_ref().err());
        let Granted { seconds, renewable, .. } = granted?;
        self.change(&held.session, |held| {
            held.lease = held.lease.as_ref().map(|lease| lease.renewed(now, seconds, renewable));
        });
        Ok(())
    }

    /// How long a given token lives. A token that may not look itself up may hardly renew itself either.
    async fn look_up(&self, wire: &Wire, held: &Held) {
        let url = self.place.api("auth/token/lookup-self");
        let now = Instant::now();
        let Ok(answer) = wire.ask(&Question::get(&url, &held.session.token)).await else { return };
        let lease = match answer.status {
            StatusCode::OK => answer::looked_up(&answer.body).ok(),
            StatusCode::FORBIDDEN => None,
            _ => return,
        };
        self.change(&held.session, |held| {
            held.is_looked_up = true;
            held.lease = lease.and_then(|granted| Lease::new(now, granted.seconds, granted.renewable));
        });
    }

    /// With the turn held.
    async fn log_in(&self, wire: &Wire) -> Result<Session, StoreError> {
        let done = self.granted(wire).await;
        self.observer.tell("login", done.as_ref().err());
        let (token, lease) = done?;
        let mut state = self.state();
        state.logins += 1;
        state.failed = None;
        let session = Session { token, number: state.logins };
        state.held = Some(Held { session: session.clone(), lease, is_looked_up: true, good_until: None });
        Ok(session)
    }

    async fn granted(&self, wire: &Wire) -> Result<(HeaderValue, Option<Lease>), StoreError> {
        let Some(url) = self.way.url(&self.place)? else { return Err(self.way.refused()) };
        let body = self.way.body().await?;
        let now = Instant::now();
        let answer = wire.ask(&Question::post(&url, None, body)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.error(wire, answer::no(answer.status, &answer.body), &answer.body).await);
        }
        let Granted { token, seconds, renewable } = answer::granted(&answer.body)?;
        Ok((header(&token)?, Lease::new(now, seconds, renewable)))
    }

    async fn error(&self, wire: &Wire, no: No, body: &[u8]) -> StoreError {
        match no {
            No::Unavailable => self.place.unavailable(wire).await,
            No::MissingNamespace => StoreError::Config(answer::NO_NAMESPACE.to_owned()),
            No::Error(StoreError::Server(400)) | No::Denied => StoreError::Unauthorized(self.way.why_refused(body)),
            No::Error(error) => error,
            No::Missing | No::Deleted(_) | No::WrongMount | No::Unsupported => self.way.is_not_there(),
        }
    }

    fn change(&self, session: &Session, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.state().held.as_mut().filter(|held| held.session.number == session.number) {
            change(held);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn due(&self, now: Instant) -> Due {
        self.lease.as_ref().map_or(Due::Nothing, |lease| lease.due(now))
    }
}

fn header(token: &str) -> Result<HeaderValue, StoreError> {
    // Whoever writes a token into a Secret with an editor adds a newline.
    let token = token.trim();
    if token.is_empty() {
        return Err(StoreError::Unauthorized("the token is empty".to_owned()));
    }
    let mut value = HeaderValue::from_str(token)
        .map_err(|_| StoreError::Unauthorized("the token holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
