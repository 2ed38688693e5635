//! Ports and networks that no other run on this machine uses.
//!
//! A claim is a socket bound to an abstract name: exactly one process can have it, the kernel drops it with its owner,
//! no file stays behind, and its scope is the network namespace, which is that of the ports themselves.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context, Result};

// Below the range from which the kernel takes ports for outgoing connections: one of those must not come in between.
const PORTS: std::ops::Range<u64> = 20_000..32_000;

/// A name held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    _socket: UnixListener,
}

impl Claim {
    /// The claim, or nothing where somebody else has it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let address = SocketAddr::from_abstract_name(format!("devcluster-{name}")).ok()?;
        UnixListener::bind_addr(&address).ok().map(|socket| Self { _socket: socket })
    }
}

/// A port on the loopback address.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _claim: Claim,
}

impl Port {
    pub(crate) fn claim() -> Result<Self> {
        let from = random();
        (0..PORTS.end - PORTS.start)
            .filter_map(|step| u16::try_from(PORTS.start + (from.wrapping_add(step)) % (PORTS.end - PORTS.start)).ok())
            .find_map(|number| {
                let claim = Claim::of(&format!("port-{number}"))?;
                // Somebody who knows nothing of claims may listen there, or a run that is just being ended.
                TcpListener::bind(("127.0.0.1", number)).ok()?;
                Some(Self { number, _claim: claim })
            })
            .context("no free port between 20000 and 32000")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// A number that differs from process to process and from call to call.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::{Claim, Port};

    #[test]
    fn a_claim_is_exclusive_until_it_is_dropped() {
        let first = Claim::of("test-exclusive").expect("free");
        assert!(Claim::of("test-exclusive").is_none());
        drop(first);
        assert!(Claim::of("test-exclusive").is_some());
    }

    #[test]
    fn fifty_ports_are_fifty_different_ports() {
        let ports: Vec<Port> = (0..50).map(|_| Port::claim().expect("a port")).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
    }
}
