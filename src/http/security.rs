//! Who may speak to the HTTP side: networks for every path, Basic credentials for `/xml_curl`.
//!
//! Decides and nothing more: what a refusal looks like, and what is logged of it, stands in [`server`](super::server).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::{IpNet, Ipv4Net};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::settings::Credential;

/// The `user:password` pairs that open `/xml_curl`, kept as hashes only.
#[derive(Clone)]
pub struct Credentials(Vec<[u8; 32]>);

/// What an `Authorization` header is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A pair we know, or nothing is asked for.
    Admitted,
    /// No header: the first half of how curl asks with `auth-scheme` any (FACTS 10), and no sign of anything wrong.
    NotGiven,
    /// Another scheme, no Basic credentials in it, or a pair we do not know.
    Wrong,
}

impl Credentials {
    /// With no pair at all everybody is admitted; that this is wanted on an open address is for the settings to check.
    pub fn new(pairs: &[Credential]) -> Self {
        let hash = |pair: &Credential| {
            let mut hash = Sha256::new_with_prefix(&pair.user);
            hash.update(b":");
            hash.update(pair.password.expose_secret());
            hash.finalize().into()
        };
        Self(pairs.iter().map(hash).collect())
    }

    /// Compares hashes, every one of them, each in constant time: how long it takes tells neither which pair came near nor how
    /// long a pair is.
    pub fn verdict(&self, authorization: Option<&[u8]>) -> Verdict {
        if self.0.is_empty() {
            return Verdict::Admitted;
        }
        let Some(authorization) = authorization else {
            return Verdict::NotGiven;
        };
        let Some(given) = basic(authorization) else {
            return Verdict::Wrong;
        };
        let given: [u8; 32] = Sha256::digest(given).into();
        let known = self
            .0
            .iter()
            .fold(Choice::from(0), |known, pair| known | pair.ct_eq(&given));
        if known.into() {
            Verdict::Admitted
        } else {
            Verdict::Wrong
        }
    }
}

/// The `user:password` of a Basic header (RFC 7617).
fn basic(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = authorization.split_at_checked("basic ".len())?;
    scheme
        .eq_ignore_ascii_case(b"basic ")
        .then(|| STANDARD.decode(rest.trim_ascii()).ok())?
}

/// The networks whose addresses may connect.
#[derive(Debug, Clone)]
pub struct AllowList(Vec<IpNet>);

impl AllowList {
    /// With no network at all every address is permitted.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().map(canonical).collect())
    }

    /// Whether the socket's peer may speak. Never ask this of an address out of a header: anybody writes those.
    pub fn permits(&self, peer: Option<IpAddr>) -> bool {
        self.0.is_empty()
            || peer.is_some_and(|peer| {
                let peer = peer.to_canonical();
                self.0.iter().any(|network| network.contains(&peer))
            })
    }
}

/// An IPv4 network written as IPv4-mapped IPv6, made the IPv4 network it is: on a `[::]` socket a peer comes as
/// `::ffff:192.0.2.1`, and both spellings must mean the same.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped
        .and_then(|(addr, prefix)| Ipv4Net::new(addr, prefix).ok())
        .map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests;
