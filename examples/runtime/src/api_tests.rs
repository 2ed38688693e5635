//! The client against a real HTTPS server.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::mpsc::{self, Receiver},
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::*;
use crate::snapshot::{Problem, tests::Mount};

/// Answers one status after the other, the last one ever after.
pub struct Server {
    address: SocketAddr,
    ca: String,
    requests: Receiver<String>,
}

impl Server {
    pub fn start(statuses: Vec<u16>) -> Self {
        Self::start_with(statuses, "")
    }

    fn start_with(statuses: Vec<u16>, header: &str) -> Self {
        let (config, ca) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sent, requests) = mpsc::channel();
        let header = header.to_owned();
        thread::spawn(move || {
            let mut statuses = statuses.into_iter();
            let mut status = 204;
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).expect("a connection");
                let mut tls = StreamOwned::new(connection, stream);
                // Who does not trust us says nothing.
                let Some(request) = read_request(&mut tls) else { continue };
                status = statuses.next().unwrap_or(status);
                let _ = write!(tls, "HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n{header}\r\n");
                let _ = tls.flush();
                if sent.send(request).is_err() {
                    return;
                }
            }
        });
        Self { address, ca, requests }
    }

    /// What the kubelet would mount.
    pub fn tell(&self, mount: &Mount, token: &str) {
        mount.own("url", &format!("https://{}\n", self.address));
        mount.own("ca.crt", &self.ca);
        mount.own("token", token);
    }

    pub fn request(&self) -> String {
        self.requests.recv_timeout(Duration::from_secs(10)).expect("a request")
    }
}

fn certified() -> (Arc<ServerConfig>, String) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().expect("a key");
    let cert = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let cert = cert.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate and its key");
    (Arc::new(config), ca_pem)
}

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        text += &String::from_utf8_lossy(&buffer[..count]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

fn loaded() -> Ack {
    Ack { revision: "7-f".to_owned(), error: None }
}

#[test]
fn it_says_the_revision_with_the_pods_token_and_who_it_is() {
    let (server, mount) = (Server::start(vec![204]), Mount::new());
    server.tell(&mount, "first\n");
    assert_eq!(acknowledge(mount.path(), &loaded()), Ok(()));
    let request = server.request();
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("POST /v1/acks HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer first\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body, json!({"revision": "7-f", "runtime": {"name": "light-runtime", "version": "0.1.0"}}));
}

#[test]
fn it_says_why_a_revision_could_not_be_loaded() {
    let (server, mount) = (Server::start(vec![204]), Mount::new());
    server.tell(&mount, "token");
    let ack = Ack { error: Some(Problem::SnapshotIncomplete), ..loaded() };
    assert_eq!(acknowledge(mount.path(), &ack), Ok(()));
    assert!(server.request().contains("\"error\":\"SnapshotIncomplete\""));
}

#[test]
fn token_address_and_certificate_are_read_anew_each_time() {
    let (old, new, mount) = (Server::start(vec![204]), Server::start(vec![204]), Mount::new());
    old.tell(&mount, "first");
    assert_eq!(acknowledge(mount.path(), &loaded()), Ok(()));
    new.tell(&mount, "second");
    assert_eq!(acknowledge(mount.path(), &loaded()), Ok(()));
    assert!(new.request().contains("Bearer second"));
}

#[test]
fn a_server_of_another_authority_is_told_nothing() {
    let (server, other, mount) = (Server::start(vec![204]), Server::start(vec![204]), Mount::new());
    server.tell(&mount, "token");
    mount.own("ca.crt", &other.ca);
    assert!(matches!(acknowledge(mount.path(), &loaded()), Err(Failure::Unreachable(_))));
    assert!(server.requests.try_recv().is_err());
}

#[test]
fn of_two_authorities_in_the_file_either_will_do() {
    let (server, other, mount) = (Server::start(vec![204]), Server::start(vec![204]), Mount::new());
    server.tell(&mount, "token");
    mount.own("ca.crt", &format!("{}{}", other.ca, server.ca));
    assert_eq!(acknowledge(mount.path(), &loaded()), Ok(()));
}

#[test]
fn plain_http_and_what_is_not_there_are_not_used() {
    let (server, mount) = (Server::start(vec![204]), Mount::new());
    let told = |name, content| {
        server.tell(&mount, "token");
        mount.own(name, content);
        acknowledge(mount.path(), &loaded())
    };
    assert_eq!(told("url", "http://127.0.0.1:1"), Err(Failure::NotToldYet("an https url")));
    assert_eq!(told("url", ""), Err(Failure::NotToldYet("url")));
    assert_eq!(told("token", ""), Err(Failure::NotToldYet("token")));
    assert_eq!(told("ca.crt", "no certificate"), Err(Failure::NotToldYet("a certificate in ca.crt")));
    assert!(server.requests.try_recv().is_err());
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(vec![204]);
    let location = format!("Location: https://{}/v1/acks\r\n", elsewhere.address);
    let (server, mount) = (Server::start_with(vec![307], &location), Mount::new());
    server.tell(&mount, "token");
    // Even where it would be trusted.
    mount.own("ca.crt", &format!("{}{}", server.ca, elsewhere.ca));
    let refused = Failure::Refused { status: 307, retry_after: None };
    assert_eq!(acknowledge(mount.path(), &loaded()), Err(refused));
    assert!(elsewhere.requests.try_recv().is_err());
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let (server, mount) = (Server::start_with(vec![429], "Retry-After: 7\r\n"), Mount::new());
    server.tell(&mount, "token");
    let refused = Failure::Refused { status: 429, retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(acknowledge(mount.path(), &loaded()), Err(refused));
}
