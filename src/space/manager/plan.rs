//! What a `SecretManager` says about its store, and when to ask it. Knows no client.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    resources::secret_manager::{AppRoleAuth, KeyRef, KubernetesAuth, OpenBaoAuth, OpenBaoStore, SecretManagerSpec},
    space::reach::{REPORT, Seen},
    store::{Head, StoreError},
};

/// How long an error stands before we ask on our own.
const STALE_ERROR: Duration = Duration::from_secs(30);
/// The same where syncs ask by themselves. Those that do so each minute come first, and their word stands: what keeps a
/// store from telling many heads at once may not concern the one that we ask for.
const LEFT_TO_SYNCS: Duration = Duration::from_secs(90);

/// A store to build.
#[derive(Debug, PartialEq)]
pub enum Wanted<'a> {
    /// The embedded one.
    Embedded,
    /// OpenBao.
    OpenBao {
        /// Where it is.
        store: &'a OpenBaoStore,
        /// How to log in there.
        auth: Auth<'a>,
    },
}

/// How to log in at OpenBao.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Auth<'a> {
    /// With a token from a Secret.
    Token(&'a KeyRef),
    /// With a token of the operator's own service account.
    Kubernetes(&'a KubernetesAuth),
    /// With a role ID, and a secret ID from a Secret.
    AppRole(&'a AppRoleAuth),
}

impl<'a> Auth<'a> {
    fn of(auth: &'a OpenBaoAuth) -> Option<Self> {
        match (&auth.token_secret, &auth.kubernetes, &auth.app_role) {
            (Some(token), None, None) => Some(Self::Token(token)),
            (None, Some(kubernetes), None) => Some(Self::Kubernetes(kubernetes)),
            (None, None, Some(role)) => Some(Self::AppRole(role)),
            _ => None,
        }
    }

    /// The Secret that is needed for it.
    pub fn secret(self) -> Option<&'a KeyRef> {
        match self {
            Self::Token(secret) => Some(secret),
            Self::AppRole(role) => Some(&role.secret_id_secret),
            Self::Kubernetes(_) => None,
        }
    }
}

/// Reads a spec. An error says what to write instead.
pub fn wanted(spec: &SecretManagerSpec) -> Result<Wanted<'_>, String> {
    match (&spec.kubernetes, &spec.open_bao, &spec.http) {
        (Some(_), None, None) => Ok(Wanted::Embedded),
        (None, Some(store), None) => match Auth::of(&store.auth) {
            Some(auth) => Ok(Wanted::OpenBao { store, auth }),
            None => Err("set exactly one of tokenSecret, kubernetes and appRole in openBao.auth".into()),
        },
        (None, None, Some(_)) => Err("http is not supported by this version; use openBao or kubernetes".into()),
        _ => Err("set exactly one of kubernetes, openBao and http".into()),
    }
}

/// When to ask a store on our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Now.
    Now,
    /// After this time, unless somebody else asks before.
    After(Duration),
    /// There is nothing to ask for.
    Never,
}

/// When to ask: at once after the store was built, unless the syncs ask anyway; and when the last answer is old.
pub fn probe(seen: &Seen, is_asked: bool, now: Timestamp) -> Probe {
    let report = Duration::try_from(REPORT).unwrap_or_default();
    let (since, limit) = match &seen.outcome {
        None if !is_asked => return Probe::Now,
        None => (seen.built, STALE_ERROR),
        Some((Ok(()), at)) => (*at, report),
        Some((Err(_), at)) => (*at, if is_asked { LEFT_TO_SYNCS } else { STALE_ERROR }),
    };
    let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    if age >= limit { Probe::Now } else { Probe::After(limit.saturating_sub(age)) }
}

/// What the head of one entry tells of its store: any answer will do, also that there is no such entry, or that it is
/// nobody's to read.
pub fn outcome(head: Result<Head, StoreError>) -> Result<(), StoreError> {
    match head {
        Err(error) if !error.is_of_entry() && !matches!(error, StoreError::Forbidden(_)) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        resources::secret_manager::{EmbeddedStore, HttpStore},
        space::reach::Inputs,
    };

    fn open_bao(auth: OpenBaoAuth) -> SecretManagerSpec {
        let store = OpenBaoStore { auth, ..OpenBaoStore::default() };
        SecretManagerSpec { open_bao: Some(store), ..SecretManagerSpec::default() }
    }

    #[test]
    fn what_is_not_supported_or_ambiguous_says_what_to_write_instead() {
        let both = OpenBaoAuth {
            token_secret: Some(KeyRef::default()),
            kubernetes: Some(KubernetesAuth::default()),
            app_role: None,
        };
        let http = SecretManagerSpec { http: Some(HttpStore::default()), ..SecretManagerSpec::default() };
        let one_way = "set exactly one of tokenSecret, kubernetes and appRole in openBao.auth";
        for (spec, expected) in [
            (open_bao(both), one_way),
            (open_bao(OpenBaoAuth::default()), one_way),
            (http, "http is not supported by this version; use openBao or kubernetes"),
            (SecretManagerSpec::default(), "set exactly one of kubernetes, openBao and http"),
        ] {
            assert_eq!(wanted(&spec), Err(expected.to_owned()));
        }
    }

    #[test]
    fn the_embedded_store_and_openbao_with_each_way_to_log_in_are_supported() {
        let embedded = SecretManagerSpec { kubernetes: Some(EmbeddedStore {}), ..SecretManagerSpec::default() };
        assert_eq!(wanted(&embedded), Ok(Wanted::Embedded));
        let secret = |name: &str| KeyRef { name: name.into(), key: "id".into() };
        let app_role = AppRoleAuth { secret_id_secret: secret("role"), ..AppRoleAuth::default() };
        for (auth, needs) in [
            (OpenBaoAuth { token_secret: Some(secret("token")), ..OpenBaoAuth::default() }, Some("token")),
            (OpenBaoAuth { app_role: Some(app_role), ..OpenBaoAuth::default() }, Some("role")),
            (OpenBaoAuth { kubernetes: Some(KubernetesAuth::default()), ..OpenBaoAuth::default() }, None),
        ] {
            let spec = open_bao(auth);
            let Ok(Wanted::OpenBao { auth, .. }) = wanted(&spec) else { panic!("{spec:?}") };
            assert_eq!(auth.secret().map(|secret| secret.name.as_str()), needs);
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen(outcome: Option<(Result<(), StoreError>, Timestamp)>) -> Seen {
        let inputs = Inputs { uid: None, generation: None, credential: None, ca: None };
        Seen { inputs: Some(inputs), built: at(100), outcome, answered: None, reported: None, is_used: true }
    }

    #[test]
    fn a_new_store_is_asked_at_once_unless_its_syncs_do_it() {
        assert_eq!(probe(&seen(None), false, at(100)), Probe::Now);
        assert_eq!(probe(&seen(None), true, at(110)), Probe::After(Duration::from_secs(20)));
        assert_eq!(probe(&seen(None), true, at(130)), Probe::Now);
    }

    #[test]
    fn a_store_that_nobody_asks_is_asked_each_15_minutes_and_sooner_while_it_is_down() {
        let (well, down) = (Some((Ok(()), at(100))), Some((Err(StoreError::Sealed), at(100))));
        assert_eq!(probe(&seen(well.clone()), false, at(160)), Probe::After(Duration::from_mins(14)));
        assert_eq!(probe(&seen(well), false, at(1000)), Probe::Now);
        assert_eq!(probe(&seen(down.clone()), false, at(110)), Probe::After(Duration::from_secs(20)));
        assert_eq!(probe(&seen(down.clone()), false, at(130)), Probe::Now);
        assert_eq!(probe(&seen(down.clone()), true, at(170)), Probe::After(Duration::from_secs(20)), "syncs ask first");
        assert_eq!(probe(&seen(down), true, at(190)), Probe::Now);
    }

    #[test]
    fn whatever_is_wrong_with_a_store_is_not_forgotten_because_it_answers() {
        let wrong = [
            StoreError::Config("no mount secrets".into()),
            StoreError::RateLimited,
            StoreError::Malformed("line 1 column 2".into()),
            StoreError::Truncated,
            StoreError::Server(400),
            StoreError::Sealed,
        ];
        for error in wrong {
            assert_eq!(outcome(Err(error.clone())), Err(error));
        }
        for of_entry in
            [StoreError::NotFound("a".into()), StoreError::Deleted("a".into()), StoreError::Forbidden("no".into())]
        {
            assert_eq!(outcome(Err(of_entry)), Ok(()));
        }
        assert_eq!(outcome(Ok(Head::default())), Ok(()));
    }
}
