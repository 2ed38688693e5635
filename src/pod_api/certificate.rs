//! The certificate that is served: one of our own, or one that was given. No I/O.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;
use url::Host;

use super::authority::{Root, SKEW, date, validity};
use crate::secret::Value;

/// How long a certificate of our own holds; it is renewed at half.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A certificate to serve.
#[derive(Clone, Debug)]
pub struct Serving {
    /// With its key.
    pub key: Arc<CertifiedKey>,
    /// When another one is to take its place.
    pub renew: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// A certificate that was given, and what pods are to trust because of it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The certificate.
    pub serving: Serving,
    /// In PEM.
    pub ca: String,
}

/// Why a certificate that was given cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// A key of the Secret is missing or is no PEM.
    #[error("{0} is missing or holds no {1} in PEM")]
    Missing(&'static str, &'static str),
    /// The key is another certificate's.
    #[error("tls.key does not belong to the first certificate of tls.crt")]
    Mismatch,
    /// A client would refuse it, in rustls' words.
    #[error("a pod that connects to {0} would refuse it: {1}")]
    Refused(String, String),
}

/// The names under which pods know the API.
#[derive(Clone, Debug)]
pub struct Names {
    /// The host of the address that pods are told.
    told: Host<String>,
    service: [String; 2],
}

impl Names {
    /// By what pods are told, and the operator's namespace. `None` for an address without a host.
    pub fn new(api_url: &str, namespace: &str) -> Option<Self> {
        let told = url::Url::parse(api_url).ok()?.host()?.to_owned();
        let service = format!("spacesync.{namespace}.svc");
        Some(Self { told, service: [format!("{service}.cluster.local"), service] })
    }

    fn all(&self) -> Vec<String> {
        let mut names = vec![self.told()];
        names.extend(self.service.iter().filter(|name| **name != names[0]).cloned().collect::<Vec<_>>());
        names
    }

    /// Without the brackets of an IPv6 address.
    fn told(&self) -> String {
        match &self.told {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.told {
            Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
            Host::Ipv4(address) => Some(IpAddr::from(*address).into()),
            Host::Ipv6(address) => Some(IpAddr::from(*address).into()),
        }
    }
}

/// Issues a certificate of our own. It does not outlive the one that signs it.
pub fn issue(by: &Root, ends: Timestamp, names: &Names, now: Timestamp) -> Result<Serving, rcgen::Error> {
    let signing = std::str::from_utf8(by.key.expose()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let issuer = Issuer::from_ca_cert_pem(&by.certificate.pem, KeyPair::from_pem(signing)?)?;
    let until = (now + LIFETIME).min(ends);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.all())?;
    params.distinguished_name.push(DnType::CommonName, "spacesync");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (date(now - SKEW), date(until));
    let certificate = params.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let key = CertifiedKey::from_der(vec![certificate.der().clone()], key, &ring::default_provider())
        .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let renew = now + until.duration_since(now) / 2;
    Ok(Serving { key: Arc::new(key), renew, until })
}

/// Takes a certificate that was given, if pods that are told the address would take it too.
pub fn given(data: &BTreeMap<String, Value>, names: &Names, now: Timestamp) -> Result<Given, Unusable> {
    let pem = |key: &'static str| data.get(key).map(Value::expose);
    let chain = certificates(pem("tls.crt")).ok_or(Unusable::Missing("tls.crt", "certificate"))?;
    let key = pem("tls.key").and_then(|pem| PrivateKeyDer::from_pem_slice(pem).ok());
    let key = key.ok_or(Unusable::Missing("tls.key", "private key"))?;
    let trusted = match pem("ca.crt") {
        Some(pem) if !pem.is_empty() => certificates(Some(pem)).ok_or(Unusable::Missing("ca.crt", "certificate"))?,
        // Its own chain; one that signed itself is all of that.
        _ => chain[chain.len().min(2) - 1..].to_vec(),
    };
    let key = CertifiedKey::from_der(chain.clone(), key, &ring::default_provider()).map_err(|_| Unusable::Mismatch)?;
    check(&chain, &trusted, names, now).map_err(|error| Unusable::Refused(names.told(), error.to_string()))?;
    let until = chain.iter().filter_map(|der| validity(der)).map(|(_, until)| until).min().unwrap_or(now);
    let ca = trusted.iter().map(|der| written(der)).collect();
    Ok(Given { serving: Serving { key: Arc::new(key), renew: until, until }, ca })
}

fn certificates(pem: Option<&[u8]>) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem?).collect();
    all.ok().filter(|all| !all.is_empty())
}

/// As a client of ours does.
fn check(
    chain: &[CertificateDer<'static>],
    trusted: &[CertificateDer<'static>],
    names: &Names,
    now: Timestamp,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone())?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let name = names.server_name().ok_or_else(|| rustls::Error::General("the address names no host".into()))?;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).map(drop)
}

/// As PEM, by hand: what was given may hold more than certificates, such as a private key that must not travel on.
fn written(der: &CertificateDer<'_>) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, IsCa};

    use super::*;
    use crate::pod_api::authority::Authority;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    fn names(url: &str) -> Names {
        Names::new(url, "spacesync-system").unwrap()
    }

    /// Whether a pod that trusts this bundle and is told this address would connect.
    fn trusts(bundle: &str, serving: &Serving, url: &str, now: Timestamp) -> bool {
        let trusted = certificates(Some(bundle.as_bytes())).unwrap();
        check(&serving.key.cert, &trusted, &names(url), now).is_ok()
    }

    #[test]
    fn a_pod_trusts_what_is_issued_by_each_of_its_names_and_by_no_other() {
        let authority = Authority::begin(at(0)).unwrap();
        for told in ["https://10.0.0.7:8443", "https://[fd00::7]:8443", "https://secrets.example.org"] {
            let serving = issue(authority.signing(), authority.ends(), &names(told), at(0)).unwrap();
            let trusts = |url: &str| trusts(&authority.bundle(), &serving, url, at(0));
            let service = "https://spacesync.spacesync-system.svc";
            assert!(trusts(told) && trusts(service) && trusts(&format!("{service}.cluster.local:8443")), "{told}");
            assert!(!trusts("https://spacesync.other.svc") && !trusts("https://10.0.0.8"), "{told}");
        }
    }

    #[test]
    fn a_certificate_holds_for_a_week_is_renewed_at_half_and_never_outlives_its_authority() {
        let authority = Authority::begin(at(0)).unwrap();
        let url = "https://spacesync.spacesync-system.svc:8443";
        let serving = issue(authority.signing(), authority.ends(), &names(url), at(0)).unwrap();
        assert_eq!((serving.renew, serving.until), (at(84), at(168)));
        assert!(trusts(&authority.bundle(), &serving, url, at(167)));
        assert!(!trusts(&authority.bundle(), &serving, url, at(169)));
        let late = authority.ends() - SignedDuration::from_hours(10);
        let serving = issue(authority.signing(), authority.ends(), &names(url), late).unwrap();
        assert_eq!(serving.until, authority.ends());
    }

    /// A chain of a company's own authority: `tls.crt`, `tls.key` and `ca.crt`, as cert-manager writes them.
    fn company(host: &str) -> BTreeMap<String, Value> {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "company");
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date(at(-1)), date(at(100)));
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        [("tls.crt", pem), ("tls.key", key.serialize_pem()), ("ca.crt", ca_pem)]
            .map(|(name, pem)| (name.to_owned(), Value::from(pem.as_str())))
            .into()
    }

    fn taken(data: &BTreeMap<String, Value>, now: Timestamp) -> Result<Given, Unusable> {
        given(data, &names("https://secrets.example.org"), now)
    }

    #[test]
    fn a_certificate_that_was_given_is_taken_with_its_ca_until_it_ends() {
        let data = company("secrets.example.org");
        let given = taken(&data, at(0)).unwrap();
        assert_eq!(given.serving.until, at(100));
        assert!(trusts(&given.ca, &given.serving, "https://secrets.example.org", at(0)));
        assert!(matches!(taken(&data, at(101)), Err(Unusable::Refused(..))));
    }

    #[test]
    fn one_that_signed_itself_is_its_own_ca() {
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::new(vec!["secrets.example.org".to_owned()]).unwrap();
        let pem = pem.self_signed(&key).unwrap().pem();
        let data = [("tls.crt", pem), ("tls.key", key.serialize_pem()), ("ca.crt", String::new())]
            .map(|(name, pem)| (name.to_owned(), Value::from(pem.as_str())));
        let given = taken(&data.into(), at(0)).unwrap();
        assert!(trusts(&given.ca, &given.serving, "https://secrets.example.org", at(0)));
    }

    #[test]
    fn what_a_pod_would_refuse_is_refused_here_with_a_word_on_why() {
        let good = company("secrets.example.org");
        let with = |name: &str, value: &Value| {
            let mut data = good.clone();
            data.insert(name.to_owned(), value.clone());
            data
        };
        let other = company("secrets.example.org");
        let bad = Value::from("-----BEGIN NONSENSE-----");
        let table = [
            (with("tls.crt", &bad), "tls.crt is missing or holds no certificate in PEM"),
            (with("tls.key", &bad), "tls.key is missing or holds no private key in PEM"),
            (with("ca.crt", &bad), "ca.crt is missing or holds no certificate in PEM"),
            (with("tls.key", &other["tls.key"]), "tls.key does not belong to the first certificate of tls.crt"),
            (with("ca.crt", &other["ca.crt"]), "a pod that connects to secrets.example.org would refuse it"),
            (company("other.example.org"), "a pod that connects to secrets.example.org would refuse it"),
        ];
        for (data, why) in table {
            let said = taken(&data, at(0)).unwrap_err().to_string();
            assert!(said.contains(why) && !said.contains("PRIVATE"), "{said}");
        }
    }

    #[test]
    fn a_key_that_slipped_into_the_ca_goes_to_no_pod() {
        let mut data = company("secrets.example.org");
        let text = |value: &Value| String::from_utf8(value.expose().to_vec()).unwrap();
        let both = text(&data["ca.crt"]) + &text(&data["tls.key"]);
        data.insert("ca.crt".into(), Value::from(both.as_str()));
        assert!(!taken(&data, at(0)).unwrap().ca.contains("PRIVATE"));
    }
}
