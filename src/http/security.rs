//! Who may use the HTTP server: networks for every path, Basic credentials for `/xml_curl`. It
//! decides only; others answer and log.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::{IpNet, Ipv4Net};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::settings::Credential;

/// The `user:password` pairs of `http.credentials`, stored as hashes only.
pub(super) struct Credentials(Vec<[u8; 32]>);

/// The result of checking an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authentication {
    /// A known pair, or none is required.
    Accepted,
    /// No header. With `auth-scheme` any, curl first asks without one (FACTS 10), so this is no
    /// sign of an attack.
    Missing,
    /// Another scheme, a malformed header, or an unknown pair.
    Wrong,
}

impl Credentials {
    /// Without any pair, everybody is accepted. The settings check that this is intended on an open
    /// address.
    pub(super) fn new(pairs: &[Credential]) -> Self {
        let hash = |pair: &Credential| {
            let mut hash = Sha256::new_with_prefix(&pair.user);
            hash.update(b":");
            hash.update(pair.password.expose_secret());
            hash.finalize().into()
        };
        Self(pairs.iter().map(hash).collect())
    }

    /// Compares with all hashes, each in constant time, so that the time reveals neither a near
    /// miss nor the length of a pair.
    pub(super) fn check(&self, authorization: Option<&[u8]>) -> Authentication {
        if self.0.is_empty() {
            return Authentication::Accepted;
        }
        let Some(authorization) = authorization else {
            return Authentication::Missing;
        };
        let Some(given) = basic(authorization) else {
            return Authentication::Wrong;
        };
        let given: [u8; 32] = Sha256::digest(given).into();
        let known = self
            .0
            .iter()
            .fold(Choice::from(0), |known, pair| known | pair.ct_eq(&given));
        if known.into() {
            Authentication::Accepted
        } else {
            Authentication::Wrong
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

/// The networks of `http.allow`.
#[derive(Debug)]
pub(crate) struct AllowList(Vec<IpNet>);

impl AllowList {
    /// Without any network, every address is permitted.
    pub(crate) fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().map(canonical).collect())
    }

    /// Whether the peer of a socket may connect. Never pass an address from a header: any client
    /// can write those.
    pub(crate) fn permits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.contains(&peer))
    }
}

/// Turns an IPv4-mapped IPv6 network into the IPv4 network: on a `[::]` socket a peer is
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
