//! Why no answer came, in few and stable words: a condition that shows them must not change from retry to retry.

use std::{error::Error, io, iter};

use rustls::CertificateError;

use crate::store::StoreError;

/// What went wrong before an answer began.
pub(super) fn no_answer(error: &reqwest::Error) -> StoreError {
    if let Some(tls) = causes(error).find_map(tls) {
        return StoreError::Tls(tls_words(tls).to_owned());
    }
    if error.is_timeout() {
        return StoreError::TimedOut;
    }
    if error.is_dns() {
        return StoreError::UnknownHost;
    }
    let kind = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    StoreError::Unreachable(words(kind).to_owned())
}

/// Whether an established connection broke before an answer began.
pub(super) fn is_of_a_connection(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

/// What went wrong while an answer came.
pub(super) fn broken_answer(error: &reqwest::Error) -> StoreError {
    if error.is_timeout() { StoreError::TimedOut } else { StoreError::Truncated }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// TLS errors travel inside of `io::Error`s, one in the other, whose `source` skips them.
fn tls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.downcast_ref().or_else(|| tls(inner?))
}

fn words(kind: Option<io::ErrorKind>) -> &'static str {
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::ConnectionReset) => "connection reset",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "no route to the host",
        _ => "connection closed",
    }
}

// rustls' own texts hold the time of the check.
fn tls_words(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => "the issuer of its certificate is not trusted; set caBundle",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            _ => "its certificate cannot be accepted",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS at this port",
        _ => "the handshake failed",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_text_of_tls_holds_a_time_or_a_name() {
        let time = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(1_795_556_416));
        let expired = CertificateError::ExpiredContext { time, not_after: time };
        let cases = [
            (rustls::Error::InvalidCertificate(expired), "its certificate has expired"),
            (
                rustls::Error::InvalidCertificate(CertificateError::NotValidForName),
                "its certificate is for another name",
            ),
            (rustls::Error::InvalidCertificate(CertificateError::BadEncoding), "its certificate cannot be accepted"),
            (rustls::Error::General("hunter2".into()), "the handshake failed"),
        ];
        for (error, expected) in cases {
            assert_eq!(tls_words(&error), expected);
        }
    }

    #[test]
    fn a_tls_error_is_found_inside_of_an_io_error() {
        let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(causes(&error).find_map(tls), Some(&rustls::Error::DecryptError));
        let error = io::Error::other(error);
        assert_eq!(causes(&error).find_map(tls), Some(&rustls::Error::DecryptError));
        assert_eq!(causes(&io::Error::from(io::ErrorKind::ConnectionReset)).find_map(tls), None);
    }

    #[test]
    fn what_keeps_a_connection_from_being_made_has_stable_words() {
        let cases = [
            (Some(io::ErrorKind::ConnectionRefused), "connection refused"),
            (Some(io::ErrorKind::ConnectionReset), "connection reset"),
            (Some(io::ErrorKind::HostUnreachable), "no route to the host"),
            (Some(io::ErrorKind::BrokenPipe), "connection closed"),
            (None, "connection closed"),
        ];
        for (kind, expected) in cases {
            assert_eq!(words(kind), expected);
        }
    }
}
