//! A pods' API that does nothing but take acknowledgements: what one of them costs at the least.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value as Json;

/// Listens on an address that pods reach. It ends with the process.
pub struct BareApi {
    /// What pods are told.
    pub url: String,
    /// The authority of its certificate, in PEM.
    pub ca: String,
    acks: Receiver<Ack>,
}

struct Ack {
    from: IpAddr,
    revision: String,
    at: Instant,
}

impl BareApi {
    /// Starts it.
    pub fn start(host: IpAddr) -> Result<Self> {
        let (config, ca) = certified(host)?;
        let listener = TcpListener::bind((host, 0))?;
        let url = format!("https://{}", listener.local_addr()?);
        let (sender, acks) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, sender) = (config.clone(), sender.clone());
                // Who goes away early acknowledges nothing.
                thread::spawn(move || drop(serve(stream, config, &sender)));
            }
        });
        Ok(Self { url, ca, acks })
    }

    /// Waits until all of them have acknowledged that revision; says when the last one had.
    pub fn all(&self, pods: &[IpAddr], revision: &str, limit: Duration) -> Result<Instant> {
        let (mut missing, began) = (pods.iter().copied().collect::<BTreeSet<_>>(), Instant::now());
        loop {
            match self.acks.recv_timeout(limit.saturating_sub(began.elapsed())) {
                Ok(ack) if ack.revision == revision => {
                    missing.remove(&ack.from);
                    if missing.is_empty() {
                        return Ok(ack.at);
                    }
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} of {} have not acknowledged {revision} after {limit:?}", missing.len(), pods.len())
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the bare API has ended"),
            }
        }
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, acks: &Sender<Ack>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let from = stream.peer_addr()?.ip();
    let mut tls = StreamOwned::new(ServerConnection::new(config).map_err(io::Error::other)?, stream);
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let count = tls.read(&mut buffer)?;
        text += &String::from_utf8_lossy(&buffer[..count]);
        // A body that is whole JSON has ended.
        let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Json>(body).ok());
        if let Some(body) = body {
            write!(tls, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
            tls.flush()?;
            let revision = body["revision"].as_str().unwrap_or_default().to_owned();
            acks.send(Ack { from, revision, at: Instant::now() }).map_err(io::Error::other)?;
            tls.conn.send_close_notify();
            return tls.flush();
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn certified(host: IpAddr) -> Result<(Arc<ServerConfig>, String)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Another name than the server's certificate: OpenSSL takes one that is named as its issuer for self-signed.
    ca.distinguished_name.push(DnType::CommonName, "bare API");
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(vec![host.to_string()])?.signed_by(&key, &Issuer::new(ca, ca_key))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    Ok((Arc::new(config), ca_pem))
}
