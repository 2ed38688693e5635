//! From a request to its answer: which route, who asks, what was sent.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};

use super::{
    Answer, PodApi,
    authentication::away,
    caller::{self, Caller},
    endpoints::{acks, settings, status, sync},
    fields::Fields,
    problem::{Problem, What},
};
use crate::{
    cluster::Error,
    operator::metrics::{RequestLabels, Route},
};

/// The largest body.
const MAX_BODY: usize = 16 * 1024;
/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(10);

/// How much of a body that nobody wants is taken all the same, and for how long.
const MAX_DISCARDED: usize = 1024 * 1024;
const DISCARD: Duration = Duration::from_secs(2);

/// Every path, with the one method that it has.
const PATHS: [(&str, Method, &str, Route); 4] = [
    ("/v1/status", Method::GET, "GET", Route::status),
    ("/v1/sync", Method::POST, "POST", Route::sync),
    ("/v1/settings", Method::PATCH, "PATCH", Route::settings),
    ("/v1/acks", Method::POST, "POST", Route::acks),
];

/// Answers a request, whatever it is.
pub async fn answer(api: &Arc<PodApi>, source: IpAddr, request: Request<Incoming>) -> Answer {
    let (head, mut body) = request.into_parts();
    let (route, routed) = route(&head);
    let answered = match routed {
        Ok(()) => answer_at(api, route, source, &head.headers, &mut body).await,
        Err(problem) => Err(problem),
    };
    if answered.is_err() {
        discard(body).await;
    }
    let mut answer = answered.unwrap_or_else(Problem::response);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let labels = RequestLabels { route, code: answer.status().as_u16() };
    api.ctx.metrics.api_requests.get_or_create(&labels).inc();
    answer
}

fn route(request: &Parts) -> (Route, Result<(), Problem>) {
    let Some((_, method, allowed, route)) = PATHS.iter().find(|(path, ..)| *path == request.uri.path()) else {
        let detail = "there are /v1/status, /v1/sync, /v1/settings and /v1/acks; see docs/reference/pods-api.yaml";
        return (Route::other, Err(Problem::new(What::NotFound, detail)));
    };
    if request.method == method {
        return (*route, Ok(()));
    }
    let not_allowed = Problem::new(What::MethodNotAllowed, format!("use {allowed}"));
    (*route, Err(Problem { allow: Some(allowed), ..not_allowed }))
}

async fn answer_at(
    api: &Arc<PodApi>,
    route: Route,
    source: IpAddr,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Problem> {
    if !caller::is_known(api) {
        return Err(away(&Error::TimedOut));
    }
    let pod = api.authenticator.pod(&api.ctx, headers, source).await?;
    let caller = Caller::of(api, pod)?;
    if route == Route::status {
        return status::answer(api, &caller, headers);
    }
    let fields = read(headers, body).await?;
    match route {
        Route::sync => sync::answer(api, &caller, &fields).await,
        Route::settings => settings::answer(api, &caller, &fields).await,
        _ => acks::answer(api, &caller, &fields).await,
    }
}

async fn read(headers: &HeaderMap, body: &mut Incoming) -> Result<Fields, Problem> {
    let too_large = || Problem::new(What::TooLarge, "send at most 16 KiB");
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    if !is_json(headers) {
        return Err(Problem::new(What::UnsupportedType, "send JSON, with `Content-Type: application/json`"));
    }
    let read = tokio::time::timeout(BODY, Limited::new(body, MAX_BODY).collect()).await;
    match read {
        Ok(Ok(body)) => Fields::read(&body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(What::Malformed, "the body ended early; send it again")),
        Err(_) => Err(Problem::new(What::TimedOut, "send the body within 10 s")),
    }
}

/// Takes what else comes of a body, up to a bound: a client that still sends when the connection is closed never reads
/// why it was refused.
async fn discard(mut body: Incoming) {
    let taken = async {
        let mut left = MAX_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD, taken).await;
}

fn is_json(headers: &HeaderMap) -> bool {
    let type_ = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let type_ = type_.split(';').next().unwrap_or_default().trim();
    type_.eq_ignore_ascii_case("application/json")
}
