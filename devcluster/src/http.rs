//! A blocking HTTP client for one server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A client that trusts `ca_pem` only. A status of 400 and above is an answer like any other.
pub(crate) fn client(ca_pem: Option<&str>) -> Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // The servers are on this machine: whatever proxy the environment names is not for them.
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(20)));
    if let Some(pem) = ca_pem {
        let ca = Certificate::from_pem(pem.as_bytes()).context("no certificate")?;
        config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(vec![ca]))).build());
    }
    Ok(config.build().into())
}

/// One request; the status and the body.
pub(crate) fn send(
    agent: &Agent,
    method: &str,
    url: &str,
    header: (&str, &str),
    body: Option<&str>,
) -> Result<(u16, String)> {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes())?).uri(url).header(header.0, header.1);
    let mut answer = match body {
        Some(body) => agent.run(request.header("content-type", "application/json").body(body)?),
        None => agent.run(request.body(())?),
    }
    .with_context(|| format!("{method} {url}"))?;
    let text = answer.body_mut().with_config().limit(256 << 20).read_to_string()?;
    Ok((answer.status().as_u16(), text))
}
