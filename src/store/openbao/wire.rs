//! One request at a time within the limits, its answer with a size and a deadline.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, StatusCode, header::RETRY_AFTER};
use hyper::body::Bytes;
use jiff::Timestamp;
use reqwest::{Certificate, redirect::Policy};
use tokio::{sync::Semaphore, time::Instant};
use url::Url;
use zeroize::Zeroizing;

use super::{Settings, failure, pace::Pace};
use crate::store::StoreError;

/// What an answer may hold. A KV entry is at most 1 MiB by default; a page of heads is as much, or a few.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;

/// For so long a server that limits its rate is left alone where it does not say for how long.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest that a server may ask us to leave it alone.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

pub(super) type Body = Zeroizing<Vec<u8>>;

/// The way to one server.
pub(super) struct Wire {
    http: reqwest::Client,
    namespace: Option<HeaderValue>,
    permits: Semaphore,
    pace: Pace,
    /// Until when the server wants to be left alone.
    pause: Mutex<Option<Instant>>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Body,
}

/// Something to ask, with what.
pub(super) struct Question<'a> {
    url: &'a Url,
    method: Method,
    token: Option<&'a HeaderValue>,
    body: Bytes,
    /// Whether it is asked of the namespace, or of the server as a whole.
    is_of_namespace: bool,
}

impl<'a> Question<'a> {
    /// A question that needs a token.
    pub(super) fn get(url: &'a Url, token: &'a HeaderValue) -> Self {
        Self { url, method: Method::GET, token: Some(token), body: Bytes::new(), is_of_namespace: true }
    }

    /// A question that anybody may ask the server as a whole.
    pub(super) fn of_server(url: &'a Url) -> Self {
        Self { url, method: Method::GET, token: None, body: Bytes::new(), is_of_namespace: false }
    }

    /// One that hands something over. It is zeroed once it is sent.
    pub(super) fn post(url: &'a Url, token: Option<&'a HeaderValue>, body: Body) -> Self {
        Self { url, method: Method::POST, token, body: Bytes::from_owner(body), is_of_namespace: true }
    }
}

impl Wire {
    pub(super) fn new(settings: &Settings, tls: bool) -> Result<Self, StoreError> {
        let concurrency = settings.limits.concurrency.max(1);
        let namespace = settings.namespace.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self {
            http: http(settings, tls)?,
            namespace: namespace.map_err(|_| StoreError::Config("namespace is no path of a namespace".to_owned()))?,
            permits: Semaphore::new(concurrency as usize),
            pace: Pace::new(settings.limits.per_second, concurrency),
            pause: Mutex::new(None),
        })
    }

    /// How long the server wants to be left alone yet.
    pub(super) fn pause(&self) -> Option<Duration> {
        let until = (*self.pause.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    /// Asks, whatever the answer. In a pause that the server wanted nothing is asked.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Answer, StoreError> {
        // The permit is given back before any second look, which needs one of its own.
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        self.pace.wait().await;
        if self.pause().is_some() {
            return Err(StoreError::RateLimited);
        }
        let mut response = match self.send(question).await {
            // A connection kept from before, which the server has closed meanwhile, tells nothing of the server now.
            Err(error) if failure::is_of_a_connection(&error) => self.send(question).await,
            other => other,
        }
        .map_err(|error| failure::no_answer(&error))?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.leave_alone(retry_after(response.headers().get(RETRY_AFTER), Timestamp::now()));
        }
        Ok(Answer { status, body: body(&mut response).await? })
    }

    fn leave_alone(&self, wanted: Option<Duration>) {
        let until = Instant::now() + wanted.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE);
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = (*pause).max(Some(until));
    }

    async fn send(&self, question: &Question<'_>) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.request(question.method.clone(), question.url.clone());
        if let Some(token) = question.token {
            request = request.header(TOKEN, token.clone());
        }
        if let Some(namespace) = self.namespace.as_ref().filter(|_| question.is_of_namespace) {
            request = request.header(NAMESPACE, namespace.clone());
        }
        if !question.body.is_empty() {
            request = request.body(question.body.clone());
        }
        // A proxy of OpenBao may insist on this one, which no browser can be tricked into sending.
        request.header("x-vault-request", "true").send().await
    }
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(header: Option<&HeaderValue>, now: Timestamp) -> Option<Duration> {
    let text = header?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let cases = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 2026 00:02:00 GMT", Some(120)),
            ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            let header = HeaderValue::from_str(text).unwrap();
            assert_eq!(retry_after(Some(&header), now), seconds.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(None, now), None);
    }
}
