//! Which connections are let in. Decided before the TLS handshake and before anything is read.
//!
//! `http.max_connections` connections are let in. More wait for a while, so that a fleet that asks
//! all at the same time is served in turn. The addresses of configured switches have reserved
//! connections: nobody else can keep a switch from its answer.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::metrics::{counter, gauge};
use arc_swap::ArcSwap;
use tokio::net::lookup_host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::request_log::Peer;
use super::security::AllowList;
use crate::health::{Health, Part, State};
use crate::metrics::{HTTP_CONNECTIONS, HTTP_REFUSED};
use crate::settings::{HostPort, SwitchSettings};
use crate::throttle::Throttle;

/// Reserved connections for each configured switch: when it starts, FreeSWITCH asks for all
/// profiles at the same time (FACTS 3).
const RESERVED_PER_SWITCH: usize = 16;
/// Reserved connections for all switches together; each takes an open file.
const MAX_RESERVED: usize = 1024;
/// As many connections may wait as `http.max_connections`, and at least this many.
const MIN_WAITING: usize = 256;
/// How often the names of switches are looked up.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(60);

/// How many connections can be open at the same time, including those that wait.
pub fn most_connections(max_connections: usize, switches: usize) -> usize {
    max_connections + reserved(switches) + waiting(max_connections)
}

fn reserved(switches: usize) -> usize {
    switches.saturating_mul(RESERVED_PER_SWITCH).min(MAX_RESERVED)
}

fn waiting(max_connections: usize) -> usize {
    max_connections.max(MIN_WAITING)
}

/// The addresses of the `[[switch]]` tables.
#[derive(Debug, Default)]
pub struct SwitchAddresses {
    hosts: Vec<HostPort>,
    known: ArcSwap<HashSet<IpAddr>>,
}

impl SwitchAddresses {
    /// Knows the IP addresses. [`SwitchAddresses::look_up`] resolves the host names.
    pub fn new(switches: &[SwitchSettings]) -> Self {
        let hosts: Vec<_> = switches.iter().map(|switch| switch.address.clone()).collect();
        let known = hosts.iter().filter_map(literal).collect();
        Self {
            hosts,
            known: ArcSwap::from_pointee(known),
        }
    }

    /// Resolves the host names at intervals, forever. A name that cannot be resolved keeps its
    /// addresses.
    pub async fn look_up(&self) {
        let names: Vec<_> = self.hosts.iter().filter(|host| literal(host).is_none()).collect();
        if names.is_empty() {
            return std::future::pending().await;
        }
        let mut found = vec![Vec::new(); names.len()];
        loop {
            for (name, found) in names.iter().zip(&mut found) {
                if let Ok(addresses) = lookup_host((name.host.as_str(), name.port)).await {
                    *found = addresses.map(|address| address.ip().to_canonical()).collect();
                }
            }
            let literals = self.hosts.iter().filter_map(literal);
            let known = literals.chain(found.iter().flatten().copied()).collect();
            self.known.store(Arc::new(known));
            sleep(LOOKUP_INTERVAL).await;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.hosts.len()
    }

    fn contains(&self, peer: SocketAddr) -> bool {
        self.known.load().contains(&peer.ip().to_canonical())
    }
}

fn literal(host: &HostPort) -> Option<IpAddr> {
    host.host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

pub(super) struct Gate {
    allow: AllowList,
    switches: Arc<SwitchAddresses>,
    health: Arc<Health>,
    max_connections: usize,
    reserved: usize,
    /// How long a connection waits at most.
    max_wait: Duration,
    permits: Arc<Semaphore>,
    reserved_permits: Arc<Semaphore>,
    waiting: Semaphore,
    is_full: AtomicBool,
    /// It is logged that the server is full, and not yet that it has room again.
    is_logged: AtomicBool,
    network_throttle: Throttle,
    full_throttle: Throttle,
}

/// Held by a connection as long as it is open.
pub(super) struct ConnectionPermit {
    permit: Option<OwnedSemaphorePermit>,
    gate: Arc<Gate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The address is in no network of `http.allow`.
    Network,
    /// No connection ended in time, or too many wait already.
    Full,
}

impl Gate {
    pub(super) fn new(
        allow: AllowList,
        switches: Arc<SwitchAddresses>,
        health: Arc<Health>,
        max_connections: usize,
        max_wait: Duration,
    ) -> Self {
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS);
        let reserved = reserved(switches.count());
        gauge!(HTTP_CONNECTIONS).set(0.0);
        Self {
            allow,
            switches,
            health,
            max_connections,
            reserved,
            max_wait,
            permits: Arc::new(Semaphore::new(max_connections)),
            reserved_permits: Arc::new(Semaphore::new(reserved)),
            waiting: Semaphore::new(waiting(max_connections).min(Semaphore::MAX_PERMITS)),
            is_full: AtomicBool::new(false),
            is_logged: AtomicBool::new(false),
            network_throttle: Throttle::default(),
            full_throttle: Throttle::default(),
        }
    }

    /// Lets `peer` in, if need be after a wait.
    pub(super) async fn admit(self: &Arc<Self>, peer: SocketAddr) -> Result<ConnectionPermit, Refusal> {
        if !self.allow.permits(peer.ip()) {
            counter!(HTTP_REFUSED, "reason" => "network").increment(1);
            if let Some(held) = self.network_throttle.pass(Instant::now()) {
                warn!(peer = %Peer(Some(peer)), held, "refused: the address is in no network of http.allow");
            }
            return Err(Refusal::Network);
        }
        let is_switch = self.switches.contains(peer);
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.report_full();
                let reserved = is_switch.then(|| self.reserved_permits.clone().try_acquire_owned().ok());
                match reserved.flatten() {
                    Some(permit) => Some(permit),
                    None => self.wait(is_switch).await,
                }
            }
        };
        let Some(permit) = permit else {
            counter!(HTTP_REFUSED, "reason" => "full").increment(1);
            return Err(Refusal::Full);
        };
        gauge!(HTTP_CONNECTIONS).increment(1.0);
        Ok(ConnectionPermit {
            permit: Some(permit),
            gate: self.clone(),
        })
    }

    async fn wait(&self, is_switch: bool) -> Option<OwnedSemaphorePermit> {
        let _waiting = self.waiting.try_acquire().ok()?;
        let permit = timeout(self.max_wait, self.permits.clone().acquire_owned());
        let permit = if is_switch && self.reserved > 0 {
            tokio::select! {
                permit = permit => permit.ok()?,
                permit = self.reserved_permits.clone().acquire_owned() => permit,
            }
        } else {
            permit.await.ok()?
        };
        permit.ok()
    }

    fn report_full(&self) {
        if self.is_full.swap(true, Ordering::Relaxed) {
            return;
        }
        let (most, reserved) = (self.max_connections, self.reserved);
        let reason = format!(
            "the HTTP server is full: {most} connections are open, as many as http.max_connections allows, \
             and others wait; {reserved} more are reserved for the addresses of [[switch]]"
        );
        if let Some(held) = self.full_throttle.pass(Instant::now()) {
            error!(held, "{reason}");
            self.is_logged.store(true, Ordering::Relaxed);
        }
        self.health.set(Part::Http, State::Degraded, Some(reason));
    }

    /// Called when a connection has ended.
    fn report_room(&self) {
        // So much that the next connection does not make it full again.
        let enough = self.max_connections.div_ceil(10);
        if self.is_full.load(Ordering::Relaxed)
            && self.permits.available_permits() >= enough
            && self.is_full.swap(false, Ordering::Relaxed)
        {
            if self.is_logged.swap(false, Ordering::Relaxed) {
                info!("the HTTP server has room again");
            }
            self.health.set(Part::Http, State::Ok, None);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        drop(self.permit.take());
        gauge!(HTTP_CONNECTIONS).decrement(1.0);
        self.gate.report_room();
    }
}

#[cfg(test)]
mod tests;
