//! What a `SecretManager` says about its store, and when to ask it. Knows no client.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    resources::secret_manager::{KeyRef, OpenBaoStore, SecretManagerSpec},
    space::reach::{REPORT, Seen},
};

/// How long an error stands before we ask on our own. Mostly the syncs ask again before that.
const STALE_ERROR: Duration = Duration::from_secs(30);

/// A store to build.
#[derive(Debug, PartialEq)]
pub enum Wanted<'a> {
    /// The embedded one.
    Embedded,
    /// OpenBao, with a token from this Secret.
    OpenBao {
        /// Where it is.
        store: &'a OpenBaoStore,
        /// The token.
        token: &'a KeyRef,
    },
}

/// Reads a spec. An error says what to write instead.
pub fn wanted(spec: &SecretManagerSpec) -> Result<Wanted<'_>, String> {
    let unsupported =
        |what: &str, instead: &str| Err(format!("{what} is not supported by this version; use {instead}"));
    match (&spec.kubernetes, &spec.open_bao, &spec.http) {
        (Some(_), None, None) => Ok(Wanted::Embedded),
        (None, Some(store), None) => match &store.auth.token_secret {
            Some(token) => Ok(Wanted::OpenBao { store, token }),
            None if store.auth.kubernetes.is_some() => unsupported("openBao.auth.kubernetes", "tokenSecret"),
            None if store.auth.app_role.is_some() => unsupported("openBao.auth.appRole", "tokenSecret"),
            None => Err("openBao.auth names no way to log in; use tokenSecret".into()),
        },
        (None, None, Some(_)) => unsupported("http", "openBao or kubernetes"),
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
        Some((Err(_), at)) => (*at, STALE_ERROR),
    };
    let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    if age >= limit { Probe::Now } else { Probe::After(limit.saturating_sub(age)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        resources::secret_manager::{AppRoleAuth, EmbeddedStore, HttpStore, KubernetesAuth, OpenBaoAuth},
        space::reach::Inputs,
        store::StoreError,
    };

    fn open_bao(auth: OpenBaoAuth) -> SecretManagerSpec {
        let store = OpenBaoStore { auth, ..OpenBaoStore::default() };
        SecretManagerSpec { open_bao: Some(store), ..SecretManagerSpec::default() }
    }

    #[test]
    fn what_is_not_supported_says_what_to_use_instead() {
        let kubernetes = OpenBaoAuth { kubernetes: Some(KubernetesAuth::default()), ..OpenBaoAuth::default() };
        let app_role = OpenBaoAuth { app_role: Some(AppRoleAuth::default()), ..OpenBaoAuth::default() };
        let http = SecretManagerSpec { http: Some(HttpStore::default()), ..SecretManagerSpec::default() };
        for (spec, expected) in [
            (open_bao(kubernetes), "openBao.auth.kubernetes is not supported by this version; use tokenSecret"),
            (open_bao(app_role), "openBao.auth.appRole is not supported by this version; use tokenSecret"),
            (open_bao(OpenBaoAuth::default()), "openBao.auth names no way to log in; use tokenSecret"),
            (http, "http is not supported by this version; use openBao or kubernetes"),
            (SecretManagerSpec::default(), "set exactly one of kubernetes, openBao and http"),
        ] {
            assert_eq!(wanted(&spec), Err(expected.to_owned()));
        }
    }

    #[test]
    fn the_embedded_store_and_openbao_with_a_token_are_supported() {
        let embedded = SecretManagerSpec { kubernetes: Some(EmbeddedStore {}), ..SecretManagerSpec::default() };
        assert_eq!(wanted(&embedded), Ok(Wanted::Embedded));
        let token = OpenBaoAuth { token_secret: Some(KeyRef::default()), ..OpenBaoAuth::default() };
        assert!(matches!(wanted(&open_bao(token)), Ok(Wanted::OpenBao { .. })));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen(outcome: Option<(Result<(), StoreError>, Timestamp)>) -> Seen {
        let inputs = Inputs { uid: None, generation: None, credential: None, ca: None };
        Seen { inputs, built: at(100), outcome, answered: None, reported: None }
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
        assert_eq!(probe(&seen(down.clone()), true, at(110)), Probe::After(Duration::from_secs(20)));
        assert_eq!(probe(&seen(down), true, at(130)), Probe::Now);
    }
}
