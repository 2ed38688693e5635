//! The way to the server: one request at a time within the limits, its answer with a size and a deadline.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use reqwest::{Certificate, redirect::Policy};
use secrecy::ExposeSecret;
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Credential, Settings,
    answer::{self, No},
    failure,
    pace::Pace,
    place::Place,
};
use crate::store::StoreError;

/// What an answer may hold. A KV entry is at most 1 MiB by default; a page of a thousand heads is about half of one.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;

/// For so long a token that was found good is not asked about again, lest each denial costs two requests.
const TOKEN_STAYS_GOOD: Duration = Duration::from_secs(10);

pub(super) type Body = Zeroizing<Vec<u8>>;

/// A connection to one server with one token.
pub(super) struct Client {
    pub(super) place: Place,
    http: reqwest::Client,
    token: HeaderValue,
    permits: Semaphore,
    pace: Pace,
    token_is_good_until: Mutex<Option<Instant>>,
}

struct Answer {
    status: StatusCode,
    retry_after: Option<u64>,
    body: Body,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, StoreError> {
        let place = Place::new(&settings.address, &settings.mount, &settings.path_prefix)?;
        let limits = &settings.limits;
        let concurrency = limits.concurrency.max(1);
        Ok(Self {
            http: http(settings, place.is_tls())?,
            place,
            token: token(&settings.credential)?,
            permits: Semaphore::new(concurrency as usize),
            pace: Pace::new(limits.per_second, concurrency),
            token_is_good_until: Mutex::new(None),
        })
    }

    /// The body of a 200, or why there is none. `doing` names the permission that this needs.
    pub(super) async fn ask(&self, url: Url, doing: &str) -> Result<Body, No> {
        let answer = self.get(url).await.map_err(No::Error)?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        Err(match answer::no(answer.status, answer.retry_after, &answer.body) {
            No::Denied => No::Error(self.denied(doing).await),
            No::Unavailable => No::Error(self.unavailable().await),
            no => no,
        })
    }

    /// Both a bad token and a policy's denial are a 403. `lookup-self` is allowed to every token by the default policy;
    /// where a token has not even that, only the wording tells.
    async fn denied(&self, doing: &str) -> StoreError {
        let forbidden = StoreError::Forbidden(format!("the token's policies do not allow to {doing}"));
        let mut good_until = self.token_is_good_until.lock().await;
        if good_until.is_some_and(|until| Instant::now() < until) {
            return forbidden;
        }
        match self.get(self.place.api("auth/token/lookup-self")).await {
            Err(error) => return error,
            Ok(answer) if answer.status == StatusCode::FORBIDDEN && !answer::is_denied_by_policy(&answer.body) => {
                return StoreError::Unauthorized("the token is unknown, revoked or expired".to_owned());
            }
            Ok(_) => *good_until = Some(Instant::now() + TOKEN_STAYS_GOOD),
        }
        forbidden
    }

    async fn unavailable(&self) -> StoreError {
        match self.get(self.place.api("sys/seal-status")).await {
            Ok(answer) if answer.status == StatusCode::OK && answer::is_sealed(&answer.body) => StoreError::Sealed,
            _ => StoreError::Server(StatusCode::SERVICE_UNAVAILABLE.as_u16()),
        }
    }

    /// Whether something else than KV version 2 is mounted where the entries should be. To such an engine every entry
    /// is merely missing. Not knowing counts as no.
    pub(super) async fn is_other_engine(&self) -> bool {
        let url = self.place.api(&format!("sys/internal/ui/mounts/{}", self.place.mount()));
        match self.get(url).await {
            Ok(answer) if answer.status == StatusCode::OK => answer::is_kv2(&answer.body) == Some(false),
            _ => false,
        }
    }

    async fn get(&self, url: Url) -> Result<Answer, StoreError> {
        // The permit is given back before any second look, which needs one of its own.
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        self.pace.wait().await;
        let mut response = match self.send(&url).await {
            // A connection kept from before, which the server has closed meanwhile, tells nothing of the server now.
            Err(error) if failure::is_of_a_connection(&error) => self.send(&url).await,
            other => other,
        }
        .map_err(|error| failure::no_answer(&error))?;
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Answer { status: response.status(), retry_after, body: body(&mut response).await? })
    }

    async fn send(&self, url: &Url) -> reqwest::Result<reqwest::Response> {
        let request = self.http.get(url.clone()).header("x-vault-token", self.token.clone());
        // A proxy of OpenBao may insist on this one, which no browser can be tricked into sending.
        request.header("x-vault-request", "true").send().await
    }
}

async fn body(response: &mut reqwest::Response) -> Result<Body, StoreError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    if announced > MAX_BODY {
        return Err(StoreError::TooLarge(MAX_BODY));
    }
    let mut body = Body::new(Vec::with_capacity(announced));
    while let Some(chunk) = response.chunk().await.map_err(|error| failure::broken_answer(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(StoreError::TooLarge(MAX_BODY));
        }
        append(&mut body, &chunk);
    }
    Ok(body)
}

/// Like `extend_from_slice`, which would leave the old bytes behind in freed memory each time it grows.
fn append(body: &mut Body, chunk: &[u8]) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let mut larger = Body::new(Vec::with_capacity(needed.max(2 * body.capacity())));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

fn http(settings: &Settings, tls: bool) -> Result<reqwest::Client, StoreError> {
    // reqwest takes the process's provider. It is an error if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("spacesync/", env!("CARGO_PKG_VERSION")))
        // A redirect could lead the token to somebody else.
        .redirect(Policy::none())
        // Over HTTP/2 all requests would share one connection, and hang with it for minutes when its peer is cut off.
        .http1_only()
        .pool_max_idle_per_host(settings.limits.concurrency.max(1) as usize)
        .connect_timeout(settings.limits.connect)
        .timeout(settings.limits.whole);
    // HTTPS_PROXY and NO_PROXY hold, for a proxy of TLS sees nothing. One of plain HTTP would be shown the token.
    let builder = if tls { builder } else { builder.no_proxy() };
    let builder = match &settings.ca_pem {
        Some(pem) => builder.tls_certs_only(certificates(pem)?),
        // Without this the system's certificates would be loaded, and have to be there, for nothing.
        None if !tls => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(|_| match settings.ca_pem {
        Some(_) => StoreError::Config("caBundle holds a certificate that cannot be used".to_owned()),
        None => StoreError::Config("the system has no trusted certificates; set caBundle".to_owned()),
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, StoreError> {
    let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(StoreError::Config("caBundle holds no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}

fn token(credential: &Credential) -> Result<HeaderValue, StoreError> {
    let Credential::Token(token) = credential;
    // Whoever writes a token into a Secret with an editor adds a newline.
    let token = token.expose_secret().trim();
    if token.is_empty() {
        return Err(StoreError::Unauthorized("the token is empty".to_owned()));
    }
    let mut value = HeaderValue::from_str(token)
        .map_err(|_| StoreError::Unauthorized("the token holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
