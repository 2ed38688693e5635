//! Which pod asks: by its projected token, which the API server reviews.
//!
//! What costs a request is guarded in this order: what the token says of itself, what was learned of it a moment ago, how
//! often its sender failed of late, and how many reviews run. A pod that is known costs no request.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac};
use http::{HeaderMap, header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    core::v1::Pod,
};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::{
    bounded::Bounded,
    limits::{Buckets, Rate},
    problem::{Problem, What},
    token::{self, Useless},
};
use crate::{
    cluster::{Cluster, Error, cache::Key},
    delivery::pod::PodView,
    operator::{
        Context,
        metrics::{Review, ReviewLabels},
    },
    resources::names::AUDIENCE,
};

/// How long a token that was accepted is not reviewed again. Whether its pod exists is asked each time.
const ACCEPTED: SignedDuration = SignedDuration::from_secs(60);
/// How long a token that was refused is not reviewed again.
const REFUSED: SignedDuration = SignedDuration::from_secs(10);
/// How many tokens of each kind are remembered.
const REMEMBERED: usize = 10_000;
/// How many reviews and reads of pods run at once.
const AT_ONCE: usize = 16;
/// How long a request waits for its turn, and then for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often one address may come with a token that the API server then refuses.
const FAILURES: Rate = Rate::new(10, Duration::from_secs(1));

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A pod as its token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    namespace: String,
    name: String,
    uid: String,
}

/// What was learned of a token.
#[derive(Clone, Debug)]
struct Learned<T> {
    what: T,
    until: Timestamp,
}

/// Never the token itself, nor a hash that somebody else could compute.
type Digest = [u8; 32];

/// Finds out which pod asks.
pub struct Authenticator {
    cluster: Cluster,
    key: Digest,
    accepted: Mutex<Bounded<Digest, Learned<PodIdentity>>>,
    refused: Mutex<Bounded<Digest, Learned<Problem>>>,
    failures: Buckets<IpAddr>,
    turns: Semaphore,
}

impl Authenticator {
    /// Asks through `cluster`, which must let every replica write.
    pub fn new(cluster: Cluster) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has randomness");
        Self {
            cluster,
            key,
            accepted: Mutex::new(Bounded::new(REMEMBERED)),
            refused: Mutex::new(Bounded::new(REMEMBERED)),
            failures: Buckets::new(FAILURES, REMEMBERED),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// The pod that asks. It exists, and carries the label of a flow app.
    pub async fn pod(&self, ctx: &Context, headers: &HeaderMap, source: IpAddr) -> Result<Arc<PodView>, Problem> {
        let token = bearer(headers).ok_or_else(|| unauthenticated(NO_TOKEN))?;
        let now = Timestamp::now();
        let ends = token::ends(token, now).map_err(|useless| unauthenticated(words(useless)))?;
        let digest = self.digest(token);
        if let Some(problem) = self.refused.lock().expect(LOCK).get(&digest).filter(|known| now < known.until) {
            return Err(problem.what.clone());
        }
        let known = self.accepted.lock().expect(LOCK).get(&digest).filter(|known| now < known.until).cloned();
        let identity = match known {
            Some(known) => known.what,
            None => self.review(ctx, token, digest, ends, source).await?,
        };
        self.living(ctx, &identity, digest, source).await
    }

    fn digest(&self, token: &str) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("an HMAC takes a key of any length");
        mac.update(token.as_bytes());
        mac.finalize().into_bytes().into()
    }

    async fn review(
        &self,
        ctx: &Context,
        token: &str,
        digest: Digest,
        ends: Timestamp,
        source: IpAddr,
    ) -> Result<PodIdentity, Problem> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.in_turn(source, self.cluster.create(&review)).await?;
        let reviewed = answer.map(|review| identity_of(&review.status.unwrap_or_default()));
        let result = match &reviewed {
            Ok(Ok(_)) => Review::accepted,
            Ok(Err(_)) => Review::refused,
            Err(_) => Review::failed,
        };
        ctx.metrics.token_reviews.get_or_create(&ReviewLabels { result }).inc();
        ctx.trust.may_ask(match &reviewed {
            Err(Error::Forbidden(why)) => Some(why),
            _ => None,
        });
        match reviewed.map_err(|error| away(&error))? {
            Ok(identity) => {
                // Not beyond its own end.
                let until = ends.min(Timestamp::now() + ACCEPTED);
                self.accepted.lock().expect(LOCK).put(digest, Learned { what: identity.clone(), until });
                Ok(identity)
            }
            Err(problem) => Err(self.refuse(digest, source, problem)),
        }
    }

    /// Remembers that a token is refused, and who sent it.
    fn refuse(&self, digest: Digest, source: IpAddr, problem: Problem) -> Problem {
        // It does not matter whether there was one left.
        let _ = self.failures.take(&source, Instant::now());
        let learned = Learned { what: problem.clone(), until: Timestamp::now() + REFUSED };
        self.refused.lock().expect(LOCK).put(digest, learned);
        problem
    }

    /// The pod itself. The API server goes on accepting the token of a deleted pod for up to ten seconds. A pod that is
    /// not known may be newer than what the watch has told, so it is asked for.
    async fn living(
        &self,
        ctx: &Context,
        identity: &PodIdentity,
        digest: Digest,
        source: IpAddr,
    ) -> Result<Arc<PodView>, Problem> {
        let key = Key::new(&identity.namespace, &identity.name);
        if let Some(pod) = ctx.caches.pods.get(&key).filter(|pod| pod.uid == identity.uid) {
            return Ok(pod);
        }
        // Not asked for: it might not be read.
        if !ctx.settings.scope.serves(&identity.namespace) {
            let detail = "the operator does not watch the pod's namespace; an admin adds it to --watch-namespaces";
            return Err(self.refuse(digest, source, Problem::new(What::NoFlowApp, detail)));
        }
        let read = self.in_turn(source, self.cluster.get::<Pod>(Some(&identity.namespace), &identity.name)).await?;
        let pod = read.map_err(|error| away(&error))?;
        let pod = pod.filter(|pod| pod.metadata.uid.as_ref() == Some(&identity.uid));
        let Some(pod) = pod else {
            let gone = Problem::new(What::PodGone, "the pod was deleted; its successor has a token of its own");
            return Err(self.refuse(digest, source, gone));
        };
        match PodView::project(pod) {
            Some(pod) => {
                ctx.caches.pods.put(pod.clone());
                Ok(Arc::new(pod))
            }
            None => Err(self.refuse(digest, source, no_flow_app())),
        }
    }

    /// One of a few at once, with a deadline. Only when its turn comes is it decided whether its sender failed too often:
    /// all that wait together would have come before the first of them failed.
    async fn in_turn<T>(
        &self,
        source: IpAddr,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Problem> {
        let turn = async {
            let Ok(_turn) = self.turns.acquire().await else { return Ok(Err(Error::TimedOut)) };
            self.failures.check(&source, Instant::now()).map_err(flood)?;
            Ok(call.await)
        };
        tokio::time::timeout(PATIENCE, turn).await.unwrap_or(Ok(Err(Error::TimedOut)))
    }
}

const LOCK: &str = "no code panics while it holds the lock";
const NO_TOKEN: &str = "send `Authorization: Bearer <content of .spacesync/token>`";

/// The scheme in any case, and one token.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(What::Unauthenticated, detail)
}

fn words(useless: Useless) -> &'static str {
    match useless {
        Useless::Malformed => {
            "what was sent is no service account token; read .spacesync/token anew for each connection"
        }
        Useless::Audience => "the token is for another audience; send the one in .spacesync/token",
        Useless::Expired => "the token has expired; read .spacesync/token anew for each connection",
    }
}

/// Whom a review names.
fn identity_of(status: &TokenReviewStatus) -> Result<PodIdentity, Problem> {
    let ours = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !ours {
        return Err(unauthenticated("the API server does not accept the token; read .spacesync/token anew"));
    }
    let user = status.user.clone().unwrap_or_default();
    let extra = |key: &str| user.extra.as_ref()?.get(key)?.first().cloned();
    let account = user.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let namespace = account.and_then(|account| account.split_once(':')).map(|(namespace, _)| namespace.to_owned());
    match (namespace, extra(POD_NAME), extra(POD_UID)) {
        (Some(namespace), Some(name), Some(uid)) => Ok(PodIdentity { namespace, name, uid }),
        _ => Err(Problem::new(What::NotAPod, "only a pod may ask, with the token of its projected volume")),
    }
}

/// The pod is nobody's flow app.
pub fn no_flow_app() -> Problem {
    let detail = "only pods of a FlowApp may ask: create a FlowApp that names the pod's workload";
    Problem::new(What::NoFlowApp, detail)
}

fn flood(after: Duration) -> Problem {
    Problem::later(What::TooManyRequests, after, "too many tokens from this address were refused; try again later")
}

/// The API server could not be asked.
pub fn away(error: &Error) -> Problem {
    tracing::debug!(%error, "the API server could not be asked for a pod");
    Problem::later(What::Unavailable, Duration::from_secs(2), "the API server did not answer; try again")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    fn status(authenticated: bool, audience: &str, username: &str, extra: &[(&str, &str)]) -> TokenReviewStatus {
        let extra: BTreeMap<_, _> = extra.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])).collect();
        TokenReviewStatus {
            authenticated: Some(authenticated),
            audiences: Some(vec![audience.to_owned()]),
            user: Some(UserInfo { username: Some(username.into()), extra: Some(extra), ..UserInfo::default() }),
            ..TokenReviewStatus::default()
        }
    }

    #[test]
    fn a_review_names_a_pod_only_where_it_says_all_of_it() {
        let pod = [(POD_NAME, "ingest-1"), (POD_UID, "u")];
        let account = "system:serviceaccount:newsroom-dev:default";
        let of = |status: TokenReviewStatus| identity_of(&status).map_err(|problem| problem.what);
        let expected = PodIdentity { namespace: "newsroom-dev".into(), name: "ingest-1".into(), uid: "u".into() };
        assert_eq!(of(status(true, "spacesync.dev", account, &pod)), Ok(expected));
        assert_eq!(of(status(false, "spacesync.dev", account, &pod)), Err(What::Unauthenticated));
        assert_eq!(of(status(true, "other", account, &pod)), Err(What::Unauthenticated));
        assert_eq!(of(status(true, "spacesync.dev", account, &pod[..1])), Err(What::NotAPod));
        assert_eq!(of(status(true, "spacesync.dev", "system:node:a", &pod)), Err(What::NotAPod));
        assert_eq!(of(TokenReviewStatus::default()), Err(What::Unauthenticated));
    }

    #[test]
    fn a_token_comes_in_the_authorization_header_and_nowhere_else() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(of("bearer  a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!((of("Basic a"), of("Bearer"), bearer(&HeaderMap::new())), (None, None, None));
    }
}
