//! A certificate authority for one run, and keys. Made here because it takes a millisecond, while the components'
//! own self-signed RSA keys take up to a second of their start.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Where the files of a server's certificate are.
#[derive(Debug, Clone)]
pub(crate) struct ServerFiles {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Writes `ca.crt`, `server.crt` and `server.key` to `dir`, for `localhost`, `names` and `addresses`.
pub(crate) fn write_server(dir: &Path, names: &[&str], addresses: &[IpAddr]) -> Result<ServerFiles> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "devcluster");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let hosts = ["localhost"].iter().chain(names).map(ToString::to_string);
    let mut server =
        CertificateParams::new(hosts.chain(addresses.iter().map(ToString::to_string)).collect::<Vec<_>>())?;
    server.distinguished_name.push(DnType::CommonName, "server");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cert = server.signed_by(&key, &issuer)?;

    let files = ServerFiles { ca: dir.join("ca.crt"), cert: dir.join("server.crt"), key: dir.join("server.key") };
    fs::write(&files.ca, ca_cert.pem())?;
    fs::write(&files.cert, cert.pem())?;
    fs::write(&files.key, key.serialize_pem())?;
    Ok(files)
}

/// Writes a key pair, `NAME.key` and `NAME.pub`, to sign tokens with and to check them.
pub(crate) fn write_signing_keys(dir: &Path, name: &str) -> Result<()> {
    let key = KeyPair::generate()?;
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem())?;
    fs::write(dir.join(format!("{name}.pub")), key.public_key_pem())?;
    Ok(())
}
