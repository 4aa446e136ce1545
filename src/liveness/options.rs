//! A SIP OPTIONS over UDP, and its answer (FACTS 42).

use std::fmt::Display;
use std::net::SocketAddr;

/// The requests of one probe. Their Call-IDs begin alike, so that a late answer still counts.
pub(super) struct Options {
    id: String,
    sent: u32,
}

impl Options {
    /// `id` is different for each probe of each trunkd.
    pub(super) fn new(id: impl Display) -> Self {
        Self {
            id: format!("trunkd-{id}-"),
            sent: 0,
        }
    }

    /// The next request, from the socket at `local`.
    pub(super) fn next(&mut self, local: SocketAddr, remote: SocketAddr) -> String {
        self.sent = self.sent.wrapping_add(1);
        let (id, number) = (&self.id, self.sent);
        // `rport`: the answer comes back to this socket, whatever is between (RFC 3581).
        [
            &format!("OPTIONS sip:{remote} SIP/2.0"),
            &format!("Via: SIP/2.0/UDP {local};branch=z9hG4bK{id}{number};rport"),
            "Max-Forwards: 70",
            &format!("From: <sip:trunkd@{local}>;tag={id}{number}"),
            &format!("To: <sip:{remote}>"),
            &format!("Call-ID: {id}{number}"),
            // A CSeq is below 2^31.
            &format!("CSeq: {} OPTIONS", number & 0x7fff_ffff),
            "User-Agent: trunkd",
            "Accept: application/sdp",
            "Content-Length: 0",
            "\r\n",
        ]
        .join("\r\n")
    }

    /// Whether a datagram answers one of these requests. Any answer is a sign of life, also a 503.
    pub(super) fn is_answer(&self, datagram: &[u8]) -> bool {
        let head = String::from_utf8_lossy(datagram);
        let mut lines = head.split("\r\n");
        if !lines.next().is_some_and(|line| line.starts_with("SIP/2.0 ")) {
            return false;
        }
        let mut headers = lines.take_while(|line| !line.is_empty());
        headers.any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                let name = name.trim();
                let is_call_id = name.eq_ignore_ascii_case("Call-ID") || name.eq_ignore_ascii_case("i");
                is_call_id && value.trim().starts_with(&self.id)
            })
        })
    }
}

#[cfg(test)]
mod tests;
