//! Asks one switch for a sign of life over SIP, again and again.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::EventSocket;
use super::options::Options;
use crate::control::Signal;
use crate::redis::Store;
use crate::settings::HostPort;

/// After so many requests the address is looked at again: names and profiles may have changed.
const REQUESTS: u32 = 10;
/// How often the switch is asked where its SIP answers, while that is known.
const LEARN_AGAIN: Duration = Duration::from_secs(60);
/// An answer has a few kilobytes at most.
const DATAGRAM: usize = 8192;

/// The probe of one switch.
pub(super) struct Probe {
    /// As in the settings.
    fixed: Option<HostPort>,
    /// Its event socket, as in the settings.
    address: HostPort,
    /// The profile that is asked.
    profile: String,
    event_socket: Arc<dyn EventSocket>,
    store: Store,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the switch said, and when.
    said: Option<(HostPort, Instant)>,
    asking: Option<Asking>,
}

/// The address that is probed, since when, and its last answer.
struct Asking {
    address: HostPort,
    since: Instant,
    answered: Option<Instant>,
}

impl Probe {
    pub(super) fn new(
        (fixed, address): (Option<HostPort>, HostPort),
        profile: &str,
        event_socket: Arc<dyn EventSocket>,
        store: Store,
        interval: Duration,
    ) -> Self {
        Self {
            fixed,
            address,
            profile: profile.to_owned(),
            event_socket,
            store,
            interval,
            state: Mutex::default(),
        }
    }

    pub(super) fn event_socket(&self) -> &dyn EventSocket {
        &*self.event_socket
    }

    /// Whether SIP answers.
    pub(super) fn signal(&self) -> Signal {
        let state = self.lock();
        state.asking.as_ref().map_or(Signal::Unknown, |asking| {
            signal(asking.since, asking.answered, Instant::now(), self.interval)
        })
    }

    /// Asks, forever.
    pub(super) async fn run(&self) {
        loop {
            let address = self.find_address().await;
            self.begin(address.as_ref());
            match address {
                Some(address) => match open(&address).await {
                    Some(socket) => self.ask(&socket).await,
                    None => sleep(self.interval).await,
                },
                None => sleep(self.interval).await,
            }
        }
    }

    /// Nobody wants to know any more.
    pub(super) fn pause(&self) {
        self.lock().asking = None;
    }

    fn begin(&self, address: Option<&HostPort>) {
        let mut state = self.lock();
        if state.asking.as_ref().map(|asking| &asking.address) != address {
            state.asking = address.map(|address| Asking {
                address: address.clone(),
                since: Instant::now(),
                answered: None,
            });
        }
    }

    async fn ask(&self, socket: &UdpSocket) {
        let (Ok(local), Ok(remote)) = (socket.local_addr(), socket.peer_addr()) else {
            return sleep(self.interval).await;
        };
        let mut options = Options::new(format_args!("{:016x}", rand::random::<u64>()));
        let mut datagram = vec![0; DATAGRAM];
        for _ in 0..REQUESTS {
            let next = Instant::now() + self.interval;
            // What can't be sent isn't answered.
            let _ = socket.send(options.next(local, remote).as_bytes()).await;
            while let Ok(received) = timeout_at(next, socket.recv(&mut datagram)).await {
                match received {
                    Ok(length) if options.is_answer(&datagram[..length]) => self.answered(),
                    Ok(_) => {}
                    // Refused: nothing listens there.
                    Err(_) => sleep_until(next).await,
                }
            }
        }
    }

    fn answered(&self) {
        if let Some(asking) = &mut self.lock().asking {
            asking.answered = Some(Instant::now());
        }
    }

    async fn find_address(&self) -> Option<HostPort> {
        if self.fixed.is_some() {
            return self.fixed.clone();
        }
        let is_silent = !self.signal().is_alive();
        let said = self.lock().said.clone();
        let is_due = |(_, at): &(HostPort, Instant)| is_silent || at.elapsed() >= LEARN_AGAIN;
        let known = match said {
            Some(known) if !is_due(&known) => Some(known.0),
            // Away: what it said before counts, to this trunkd or to another one.
            known => match self.ask_switch(known.as_ref().map(|(address, _)| address)).await {
                Some(address) => Some(address),
                None => match known {
                    Some((address, _)) => Some(address),
                    None => self.remembered().await,
                },
            },
        };
        known.and_then(|said| reachable(said, &self.address))
    }

    /// What the switch says about its profile, kept in Redis. `None` if it is away, or says
    /// nothing.
    async fn ask_switch(&self, before: Option<&HostPort>) -> Option<HostPort> {
        let commands = self.event_socket.commands()?;
        let address = commands.sip_address(&self.profile).await.ok()??;
        if before != Some(&address) {
            // Redis away: said again within a minute.
            let (switch, text) = (self.event_socket.switch(), address.to_string());
            if self.store.set_sip_address(switch, &text).await.is_err() {
                return Some(address);
            }
        }
        self.lock().said = Some((address.clone(), Instant::now()));
        Some(address)
    }

    async fn remembered(&self) -> Option<HostPort> {
        let address = self.store.sip_address(self.event_socket.switch()).await.ok()??;
        address.parse().ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lost datagram, or an answer that takes its time, is no silence.
fn signal(since: Instant, answered: Option<Instant>, now: Instant, interval: Duration) -> Signal {
    match answered.map(|at| now.saturating_duration_since(at)) {
        Some(ago) if ago <= interval * 5 / 2 => Signal::alive(ago),
        Some(ago) => Signal::lost(ago),
        None => Signal::never(now.saturating_duration_since(since)),
    }
}

/// Where we reach what the switch calls `said`. One that listens on all of its addresses has that
/// of its event socket among them; one that listens on loopback is out of reach from another
/// machine.
fn reachable(said: HostPort, event_socket: &HostPort) -> Option<HostPort> {
    let ip = |host: &str| host.parse::<IpAddr>().ok();
    let said_ip = ip(&said.host)?;
    if said_ip.is_unspecified() {
        return Some(HostPort {
            host: event_socket.host.clone(),
            port: said.port,
        });
    }
    let is_here = event_socket.host == "localhost" || ip(&event_socket.host).is_some_and(|ip| ip.is_loopback());
    (is_here || !said_ip.is_loopback()).then_some(said)
}

/// A socket that only hears this address.
async fn open(address: &HostPort) -> Option<UdpSocket> {
    let remote = lookup_host((address.host.as_str(), address.port)).await.ok()?.next()?;
    let any = match remote.is_ipv4() {
        true => "0.0.0.0:0",
        false => "[::]:0",
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(remote).await.ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_is_lost_since_its_last_answer_and_not_because_of_one_datagram() {
        let (since, second) = (Instant::now(), Duration::from_secs(1));
        let at = |seconds| since + Duration::from_millis(seconds);
        assert_eq!(signal(since, None, at(700), second), Signal::Never { for_ms: 700 });
        assert_eq!(
            signal(since, Some(at(1000)), at(3500), second),
            Signal::Alive { ago_ms: 2500 }
        );
        assert_eq!(
            signal(since, Some(at(1000)), at(3501), second),
            Signal::Lost { for_ms: 2501 }
        );
        // A clock that goes back, as it never should.
        assert_eq!(
            signal(at(1000), Some(at(1000)), since, second),
            Signal::Alive { ago_ms: 0 }
        );
    }

    #[test]
    fn where_a_switch_says_it_listens_is_where_we_reach_it() {
        let reached = |said: &str, event_socket: &str| {
            let reached = reachable(said.parse().unwrap(), &event_socket.parse().unwrap());
            reached.map(|address| address.to_string())
        };
        let some = |address: &str| Some(address.to_owned());
        assert_eq!(reached("10.0.0.7:5080", "fs1.example.net:8021"), some("10.0.0.7:5080"));
        assert_eq!(
            reached("0.0.0.0:5080", "fs1.example.net:8021"),
            some("fs1.example.net:5080")
        );
        assert_eq!(reached("[::]:5080", "[fd00::7]:8021"), some("[fd00::7]:5080"));
        assert_eq!(reached("127.0.0.1:5080", "localhost:8021"), some("127.0.0.1:5080"));
        assert_eq!(reached("127.0.0.1:5080", "127.0.0.1:8021"), some("127.0.0.1:5080"));
        assert_eq!(reached("127.0.0.1:5080", "10.0.0.7:8021"), None);
        assert_eq!(reached("N:5080", "10.0.0.7:8021"), None, "no address");
    }
}
