//! The small network of one box, and its way to the host.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::claim::Claim;

/// A /24 that nothing else on this machine has a route to.
#[derive(Debug)]
pub(super) struct Network {
    third: u8,
    device: String,
    _claim: Claim,
}

impl Network {
    pub(super) fn claim(run: &str) -> Result<Self> {
        let routes = fs::read_to_string("/proc/net/route").context("cannot read the routes")?;
        let (third, claim) = (0..=255)
            .filter(|third| !is_routed(&routes, address(*third, 0)))
            .find_map(|third| Some((third, Claim::of(&format!("network-{third}"))?)))
            .context("all networks from 10.201.0.0/24 to 10.201.255.0/24 are in use")?;
        // A device's name has 15 characters at most, and ends with `h` or `p` for its two ends.
        let device = format!("dc{}", run.rsplit('-').next().unwrap_or(run));
        Ok(Self { third, device, _claim: claim })
    }

    /// The name of the host's network device less its last letter, and that of the cgroup.
    pub(super) fn device(&self) -> &str {
        &self.device
    }

    pub(super) fn node(&self) -> IpAddr {
        address(self.third, 1).into()
    }

    pub(super) fn host(&self) -> IpAddr {
        address(self.third, 2).into()
    }

    pub(super) fn address(&self, last: u8) -> Ipv4Addr {
        address(self.third, last)
    }

    /// Lays the cable between the host and the box of that process.
    pub(super) fn connect(&self, init: u32) -> Result<()> {
        let (device, host) = (&self.device, self.host());
        ip(&format!("link add {device}h type veth peer name {device}p netns {init}"))?;
        ip(&format!("addr add {host}/24 dev {device}h"))?;
        ip(&format!("link set {device}h up"))
    }
}

fn address(third: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 201, third, last)
}

/// Whether one of the routes of `/proc/net/route`, the default route aside, overlaps with the /24.
fn is_routed(routes: &str, network: Ipv4Addr) -> bool {
    routes.lines().skip(1).any(|line| {
        let mut numbers = line.split_whitespace().map(|field| u32::from_str_radix(field, 16).map(u32::swap_bytes));
        let (Some(Ok(destination)), Some(Ok(mask))) = (numbers.nth(1), numbers.nth(5)) else { return false };
        let common = mask & 0xffff_ff00;
        mask != 0 && destination & common == network.to_bits() & common
    })
}

fn ip(words: &str) -> Result<()> {
    let out = Command::new("ip").args(words.split(' ')).output().context("cannot run ip")?;
    if !out.status.success() {
        bail!("ip {words}: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{address, is_routed};

    const ROUTES: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
        eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0\n\
        veth 0004C90A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";

    #[test]
    fn a_network_with_a_route_is_taken_and_the_default_route_takes_none() {
        assert!(is_routed(ROUTES, address(4, 0)));
        assert!(!is_routed(ROUTES, address(5, 0)));
    }

    #[test]
    fn a_wider_route_takes_all_networks_in_it() {
        let wide = format!("{ROUTES}tun0 0000000A 00000000 0001 0 0 0 000000FF 0 0 0\n");
        assert!(is_routed(&wide, address(5, 0)));
    }
}
