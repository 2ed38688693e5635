//! The operator's own certificate authority: which certificate signs, which is to follow it, and which are trusted
//! still. Pure but for the making of keys.
//!
//! ```text
//!  made ──────────────────────────── 90 d before its end ──── 30 d later ───────────── its end
//!   signs, is trusted                 the next is made and     the next signs, this     it leaves
//!                                     trusted beside it        one is trusted still     the bundle
//! ```
//! So whoever reads the bundle anew once in 30 days never meets a certificate that it does not trust.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::secret::Value;

/// How long a certificate of the authority holds.
const LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long before its end the next is made.
const OVERLAP: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long the next is in the bundle before it signs. Pods read the bundle anew within two minutes, but an operator, a
/// node or a whole cluster may have been away.
const PUBLISHED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The next signs earlier where the present one is about to end: nobody was there to make it in time.
const LAST_MOMENT: SignedDuration = SignedDuration::from_hours(24);
/// Clocks differ: what is made holds since a while ago.
pub const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// The certificate of an authority, and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// As it is written.
    pub pem: String,
    from: Timestamp,
    until: Timestamp,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The certificate.
    pub certificate: Certificate,
    /// Its key in PEM.
    pub key: Value,
}

/// What stands in the Secret `spacesync-api-ca`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    signing: Root,
    next: Option<Root>,
    previous: Vec<Certificate>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing until then.
    Rest(Timestamp),
    /// The next certificate is to be made.
    Prepare,
    /// The next certificate is to sign.
    Promote,
    /// Nothing holds any more, and nobody trusts us anyway: begin anew.
    Begin,
    /// Certificates that nobody needs any more are to leave the bundle.
    Forget,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (from, until) = validity(&der)?;
        Some(Self { pem: pem.to_owned(), from, until })
    }
}

/// From when until when a certificate holds.
pub fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let validity = certificate.validity();
    Some((at(validity.not_before)?, at(validity.not_after)?))
}

/// A point in time for rcgen.
pub fn date(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).expect("jiff's years are fewer")
}

impl Root {
    fn make(now: Timestamp) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        // Two with one name and two keys confuse whoever looks for the issuer by its name.
        let mut random = [0; 4];
        getrandom::fill(&mut random).expect("the system has randomness");
        params.distinguished_name.push(DnType::CommonName, format!("Spacesync pods' API {}", hex::encode(random)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date(now - SKEW), date(now + LIFETIME));
        let pem = params.self_signed(&key)?.pem();
        let certificate = Certificate::read(&pem).ok_or(rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self { certificate, key: Value::from(key.serialize_pem().as_str()) })
    }

    fn read(data: &BTreeMap<String, Value>, name: &str) -> Option<Self> {
        let key = data.get(&format!("{name}.key"))?;
        let of_key = KeyPair::from_pem(std::str::from_utf8(key.expose()).ok()?).ok()?;
        let pem = data.get(&format!("{name}.crt"))?;
        let certificate = Certificate::read(std::str::from_utf8(pem.expose()).ok()?)?;
        let der = CertificateDer::from_pem_slice(certificate.pem.as_bytes()).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
        // A key of another certificate would sign what nobody trusts.
        let matches = parsed.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&of_key);
        matches.then(|| Self { certificate, key: key.clone() })
    }
}

impl Authority {
    /// A new one, that nobody trusts yet.
    pub fn begin(now: Timestamp) -> Result<Self, rcgen::Error> {
        Ok(Self { signing: Root::make(now)?, next: None, previous: Vec::new() })
    }

    /// Reads what stands in the Secret; also one of the first shape, with `tls.crt` and `tls.key` alone and without an
    /// end. `None` where the pair that signs cannot be read. The others are made anew where they cannot.
    pub fn read(data: &BTreeMap<String, Value>) -> Option<Self> {
        let previous = data.get("previous.crt").and_then(|pem| std::str::from_utf8(pem.expose()).ok());
        Some(Self {
            signing: Root::read(data, "tls")?,
            next: Root::read(data, "next"),
            previous: previous.map(each).unwrap_or_default(),
        })
    }

    /// What is to stand in the Secret.
    pub fn data(&self) -> BTreeMap<String, Value> {
        let mut data = BTreeMap::new();
        for (name, root) in [("tls", Some(&self.signing)), ("next", self.next.as_ref())] {
            if let Some(root) = root {
                data.insert(format!("{name}.crt"), Value::from(root.certificate.pem.as_str()));
                data.insert(format!("{name}.key"), root.key.clone());
            }
        }
        if !self.previous.is_empty() {
            data.insert("previous.crt".to_owned(), Value::from(bundle(&self.previous).as_str()));
        }
        data
    }

    /// The certificate that signs.
    pub fn signing(&self) -> &Root {
        &self.signing
    }

    /// When the certificate that signs ends.
    pub fn ends(&self) -> Timestamp {
        self.signing.certificate.until
    }

    /// What pods are to trust, in PEM.
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|root| &root.certificate);
        bundle([&self.signing.certificate].into_iter().chain(next).chain(&self.previous))
    }

    /// What is due. The first rule that speaks decides.
    pub fn step(&self, now: Timestamp) -> Step {
        let promotion = self.next.as_ref().map(|next| self.promotes(next));
        let leaving = (!self.previous.is_empty()).then(|| self.forgets());
        match (promotion, leaving) {
            (Some(at), _) if at <= now => Step::Promote,
            (None, _) if self.ends() <= now => Step::Begin,
            (None, _) if self.prepares() <= now => Step::Prepare,
            (_, Some(at)) if at <= now => Step::Forget,
            (promotion, leaving) => {
                let next = promotion.unwrap_or_else(|| self.prepares());
                Step::Rest(leaving.map_or(next, |leaving| leaving.min(next)))
            }
        }
    }

    /// When the next certificate is to be made. One without an end, as they once were, gets a successor at once.
    fn prepares(&self) -> Timestamp {
        let Certificate { from, until, .. } = self.signing.certificate;
        if until.duration_since(from) > LIFETIME * 2 { from } else { before(until, OVERLAP) }
    }

    fn promotes(&self, next: &Root) -> Timestamp {
        after(next.certificate.from, PUBLISHED).min(before(self.ends(), LAST_MOMENT))
    }

    /// When the first of the previous certificates may leave: when it has ended, and one without an end when one with
    /// an end would have.
    fn forgets(&self) -> Timestamp {
        let ends = self.previous.iter().map(|certificate| certificate.until).min().unwrap_or(Timestamp::MAX);
        ends.min(after(self.signing.certificate.from, OVERLAP))
    }

    /// What it is after a step.
    pub fn after(mut self, step: Step, now: Timestamp) -> Result<Self, rcgen::Error> {
        match step {
            Step::Rest(_) => {}
            Step::Begin => return Self::begin(now),
            Step::Prepare => self.next = Some(Root::make(now)?),
            Step::Promote => {
                if let Some(next) = self.next.take() {
                    let last = std::mem::replace(&mut self.signing, next);
                    self.previous.insert(0, last.certificate);
                }
            }
            Step::Forget => {
                let all = after(self.signing.certificate.from, OVERLAP) <= now;
                self.previous.retain(|certificate| !all && certificate.until > now);
            }
        }
        Ok(self)
    }
}

/// The times of a certificate are what its maker wrote.
fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn before(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn each(pem: &str) -> Vec<Certificate> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END).filter_map(|one| Certificate::read(one.trim())).collect()
}

fn bundle<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    certificates.into_iter().flat_map(|certificate| [certificate.pem.trim(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(START + day * 24 * 3600).unwrap()
    }

    fn pems(bundle: &str) -> Vec<String> {
        each(bundle).into_iter().map(|certificate| certificate.pem).collect()
    }

    fn signing(authority: &Authority) -> String {
        authority.signing().certificate.pem.trim().to_owned()
    }

    /// Does whatever is due on a day, also several steps.
    fn live(mut authority: Authority, on: i64) -> Authority {
        for _ in 0..4 {
            match authority.step(day(on)) {
                Step::Rest(until) => {
                    assert!(until > day(on), "a rest of no time would spin");
                    return authority;
                }
                step => authority = authority.after(step, day(on)).unwrap(),
            }
        }
        panic!("it does not come to rest: {:?}", authority.step(day(on)));
    }

    /// What each day's bundle and signer are, looked after on the days that `looked_after` lets through.
    fn years(looked_after: impl Fn(i64) -> bool) -> Vec<(Vec<String>, String)> {
        let mut authority = Authority::begin(day(0)).unwrap();
        let mut days = Vec::new();
        for on in 0..4 * 365 {
            if looked_after(on) {
                authority = live(authority, on);
            }
            days.push((pems(&authority.bundle()), signing(&authority)));
        }
        days
    }

    #[test]
    fn whoever_reads_the_bundle_once_in_29_days_always_trusts_what_signs() {
        let days = years(|_| true);
        for on in 29..days.len() {
            assert!(days[on - 29].0.contains(&days[on].1), "on day {on}");
        }
        let mut signers: Vec<_> = days.iter().map(|(_, signer)| signer).collect();
        signers.dedup();
        assert_eq!(signers.len(), 6, "one in nine months");
    }

    #[test]
    fn what_signed_is_trusted_until_it_has_ended_and_not_for_ever() {
        let days = years(|_| true);
        for (on, (bundle, signer)) in days.iter().enumerate() {
            assert!(bundle.len() <= 2, "day {on}: {}", bundle.len());
            // A certificate of seven days that the signer of a week ago issued.
            if let Some((_, before)) = on.checked_sub(7).map(|day| &days[day]) {
                assert!(bundle.contains(before), "day {on}");
            }
            assert!(bundle.contains(signer), "day {on}");
        }
    }

    #[test]
    fn an_operator_that_was_away_for_weeks_still_makes_it_in_time() {
        let days = years(|on| on % 60 == 0);
        for on in 60..days.len() {
            assert!(days[on - 1].0.contains(&days[on].1), "on day {on}");
        }
    }

    #[test]
    fn one_that_was_away_until_the_end_begins_anew() {
        let authority = Authority::begin(day(0)).unwrap();
        assert_eq!(authority.step(day(364)), Step::Prepare, "late, but there is time to tell of the next");
        assert_eq!(authority.step(day(366)), Step::Begin);
        let anew = live(authority.clone(), 366);
        assert!(signing(&anew) != signing(&authority) && pems(&anew.bundle()).len() == 1);
        let prepared = authority.after(Step::Prepare, day(280)).unwrap();
        let next = prepared.next.clone().unwrap();
        assert_eq!(live(prepared, 366).signing(), &next, "what was told of is not thrown away");
    }

    #[test]
    fn the_first_shape_without_an_end_is_taken_over_and_leaves_in_time() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Spacesync pods' API");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        let data = BTreeMap::from([
            ("tls.crt".to_owned(), Value::from(pem.as_str())),
            ("tls.key".to_owned(), Value::from(key.serialize_pem().as_str())),
        ]);
        let first = Authority::read(&data).unwrap();
        assert_eq!(first.step(day(0)), Step::Prepare);
        let second = live(first, 0);
        assert_eq!((signing(&second), pems(&second.bundle()).len()), (pem.trim().to_owned(), 2));
        let third = live(second, 31);
        assert!(signing(&third) != pem.trim() && pems(&third.bundle()).contains(&pem.trim().to_owned()));
        assert_eq!(pems(&live(third, 91).bundle()).len(), 1);
    }

    #[test]
    fn what_is_written_reads_back_with_every_part() {
        let mut authority = live(Authority::begin(day(0)).unwrap(), 0);
        for on in [0, 280, 310, 640] {
            authority = live(authority, on);
            let read = Authority::read(&authority.data()).unwrap();
            assert_eq!((read.bundle(), read.step(day(on))), (authority.bundle(), authority.step(day(on))), "day {on}");
            assert_eq!(signing(&read), signing(&authority));
        }
    }

    #[test]
    fn a_pair_that_does_not_belong_together_is_no_authority_and_a_broken_next_is_made_anew() {
        let mut data = live(Authority::begin(day(0)).unwrap(), 280).data();
        data.insert("next.key".into(), Value::from("garbled"));
        let read = Authority::read(&data).unwrap();
        assert_eq!(read.step(day(280)), Step::Prepare);
        let other = Authority::begin(day(0)).unwrap().data();
        data.insert("tls.key".into(), other["tls.key"].clone());
        assert_eq!(Authority::read(&data), None);
        assert_eq!(Authority::read(&BTreeMap::new()), None);
    }

    #[test]
    fn its_debug_shows_no_key() {
        let authority = Authority::begin(day(0)).unwrap();
        assert!(!format!("{authority:?}").contains("PRIVATE"));
    }
}
