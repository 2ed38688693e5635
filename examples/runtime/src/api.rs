//! One request to the pods' API.

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::json;
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::state::Ack;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Why an acknowledgement did not arrive.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The pod was not given what it takes, or something that may not be used.
    NotToldYet(&'static str),
    /// Nobody answered, or not with that certificate.
    Unreachable(String),
    /// The answer was not 2xx.
    Refused {
        /// Which it was.
        status: u16,
        /// How long to wait at least.
        retry_after: Option<Duration>,
    },
}

/// Says it. Address, token and certificate are read anew for each connection: each of them changes in a pod's life.
pub fn acknowledge(mount: &Path, ack: &Ack) -> Result<(), Failure> {
    let own = |name: &'static str| {
        let text = fs::read_to_string(mount.join(".spacesync").join(name)).unwrap_or_default();
        let text = text.trim().to_owned();
        if text.is_empty() { Err(Failure::NotToldYet(name)) } else { Ok(text) }
    };
    let (url, token, ca) = (own("url")?, own("token")?, own("ca.crt")?);
    if !url.starts_with("https://") {
        return Err(Failure::NotToldYet("an https url"));
    }
    let mut body = json!(ack);
    body["runtime"] = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    let answer = agent(&ca)?
        .post(format!("{url}/v1/acks"))
        .header("authorization", format!("Bearer {token}"))
        .content_type("application/json")
        .send(body.to_string())
        .map_err(|error| Failure::Unreachable(error.to_string()))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let after = answer.headers().get("retry-after").and_then(|text| text.to_str().ok()?.parse().ok());
    Err(Failure::Refused { status: status.as_u16(), retry_after: after.map(Duration::from_secs) })
}

/// Trusts that certificate and no other, and goes nowhere but where it was sent.
fn agent(ca: &str) -> Result<Agent, Failure> {
    let certificates: Vec<Certificate<'static>> = parse_pem(ca.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(Failure::NotToldYet("a certificate in ca.crt"));
    }
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(TIMEOUT));
    Ok(config.build().into())
}

#[cfg(test)]
#[path = "api_tests.rs"]
pub mod tests;
