//! SIP OPTIONS to a profile, answered over UDP: the proof of life that doesn't go through the event socket (FACTS 42).
//!
//! Deliberately absent: every other request, TCP and compact header names.

use super::FakeSwitch;
use super::bus::new_uuid;
use super::core::Shared;
use super::event_socket::RETRY;
use super::sofia::Sofia;
use super::wait::DEADLINE;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

const PORT_OF_SIP: u16 = 5060;
const LENGTH_OF_TAG: usize = 13;
/// More than any request over UDP has
const DATAGRAM_MAX: usize = 64 * 1024;

/// A profile's socket, until this is dropped
pub(super) struct SipSocket {
    address: SocketAddr,
    /// OPTIONS that came so far
    pub(super) received: usize,
    _open: DropGuard,
}

impl FakeSwitch {
    /// Where a profile takes OPTIONS; see [`super::Builder::sip`].
    pub fn sip_address(&self, profile: &str) -> SocketAddr {
        let address = |socket: &SipSocket| socket.address;
        let found = self.shared.read(|core| core.sip.get(profile).map(address));
        found.expect("a profile that runs, of a switch that was built with sip()")
    }

    /// OPTIONS get no answer, or are answered again. The event socket goes on as before.
    pub fn silence_sip(&self, silent: bool) {
        self.shared.with(|core| core.sip_is_silent = silent);
    }
}

impl Shared {
    /// Opens the socket of a profile that starts, as soon as its port is free.
    pub(super) async fn open_sip(self: &Arc<Self>, profile: &str) {
        let found = self.read(|core| {
            core.sofia
                .profile(profile)
                .map(|profile| (profile.loopback_ip(), profile.sip_port))
        });
        let Some(wanted) = found.filter(|_| self.has_sip) else {
            return;
        };
        let opened = tokio::time::timeout(DEADLINE, bind(wanted)).await;
        let socket = opened.unwrap_or_else(|_| panic!("sip-port of {profile}: {wanted:?} is taken"));
        let closed = CancellationToken::new();
        let address = socket.local_addr().expect("the address of a bound socket");
        let kept = SipSocket {
            address,
            received: 0,
            _open: closed.clone().drop_guard(),
        };
        self.with(|core| core.sip.insert(profile.to_owned(), kept));
        let (shared, profile) = (Arc::clone(self), profile.to_owned());
        tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = shared.stop.cancelled() => {}
                () = shared.serve_sip(&socket, &profile) => {}
            }
        });
    }

    async fn serve_sip(&self, socket: &UdpSocket, profile: &str) {
        let mut bytes = vec![0; DATAGRAM_MAX];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut bytes).await else {
                continue; // an ICMP error for an earlier answer
            };
            let Some(request) = Request::parse(&bytes[..length]) else {
                continue;
            };
            let answer = self.with(|core| {
                let socket = core.sip.get_mut(profile)?;
                socket.received += 1;
                (!core.sip_is_silent).then(|| request.answer(from, contact(&core.sofia, profile)))
            });
            if let Some(answer) = answer {
                let _ = socket.send_to(answer.as_bytes(), request.reply_to(from)).await;
            }
        }
    }
}

async fn bind(address: (IpAddr, u16)) -> UdpSocket {
    loop {
        match UdpSocket::bind(address).await {
            Ok(socket) => return socket,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// That of a registration, if there is one
fn contact(sofia: &Sofia, profile: &str) -> String {
    let registered = sofia
        .listed()
        .find(|one| one.profile == profile && one.state.name() == "REGED");
    match (registered, sofia.profile(profile)) {
        (Some(gateway), _) => gateway.contact.clone(),
        (None, Some(profile)) => format!("<sip:{}:{}>", profile.sip_ip, profile.sip_port),
        (None, None) => String::new(),
    }
}

/// An OPTIONS
struct Request<'a> {
    via: &'a str,
    from: &'a str,
    to: &'a str,
    call_id: &'a str,
    cseq: &'a str,
}

impl<'a> Request<'a> {
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(datagram).ok()?;
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let line = lines.next()?;
        if !line.starts_with("OPTIONS sip:") || !line.ends_with(" SIP/2.0") {
            return None;
        }
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let header = |name: &str| {
            let found = headers
                .iter()
                .find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim())
        };
        Some(Request {
            via: header("Via")?,
            from: header("From")?,
            to: header("To")?,
            call_id: header("Call-ID")?,
            cseq: header("CSeq")?,
        })
    }

    /// The port that Via names, unless it has `rport` (RFC 3581).
    fn reply_to(&self, from: SocketAddr) -> SocketAddr {
        if self.asks_for_rport() {
            return from;
        }
        let sent_by = self.via.split(';').next().unwrap_or_default();
        let port = sent_by.rsplit_once(':').and_then(|(_, port)| port.trim().parse().ok());
        SocketAddr::new(from.ip(), port.unwrap_or(PORT_OF_SIP))
    }

    fn asks_for_rport(&self) -> bool {
        self.via.split(';').any(|param| param.trim() == "rport")
    }

    fn answer(&self, from: SocketAddr, contact: String) -> String {
        let rport = format!("rport={}", from.port());
        let params = self.via.split(';');
        let params = params.map(|param| if param.trim() == "rport" { &rport } else { param });
        let via: Vec<&str> = params.collect();
        let tag = new_uuid().replace('-', "");
        let tag = &tag[..LENGTH_OF_TAG];
        [
            "SIP/2.0 200 OK",
            &format!("Via: {}", via.join(";")),
            &format!("From: {}", self.from),
            &format!("To: {};tag={tag}", self.to),
            &format!("Call-ID: {}", self.call_id),
            &format!("CSeq: {}", self.cseq),
            &format!("Contact: {contact}"),
            "User-Agent: FreeSWITCH-mod_sofia/1.11.3-dev~64bit",
            "Accept: application/sdp",
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY",
            "Supported: timer, path, replaces",
            "Allow-Events: talk, hold, conference, refer",
            "Content-Length: 0",
            "\r\n",
        ]
        .join("\r\n")
    }
}
