//! Which connections are let in. Decided before the TLS handshake and before anything is read.
//!
//! There is room for `http.max_connections`. More connections wait for a while, so that a fleet
//! that asks at once is served in turn. The addresses of configured switches have extra room of
//! their own: nobody else can keep a switch from its answer.

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

use super::security::AllowList;
use crate::health::{Health, Part, State};
use crate::metrics::{HTTP_CONNECTIONS, HTTP_REFUSED};
use crate::settings::{HostPort, SwitchSettings};
use crate::throttle::Throttle;

/// Extra connections for each configured switch: at its start FreeSWITCH asks for every profile at
/// the same time (FACTS 3).
const RESERVED_PER_SWITCH: usize = 16;
/// Extra connections for all switches together; each takes an open file.
const RESERVED_MOST: usize = 1024;
/// Connections that may wait for room: as many as `http.max_connections`, and at least this many.
const WAITING_LEAST: usize = 256;
/// How often the names of switches are looked up.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(60);

/// How many connections can be open at once, waiting ones included.
pub fn most_connections(max_connections: usize, switches: usize) -> usize {
    max_connections + reserved(switches) + waiting(max_connections)
}

fn reserved(switches: usize) -> usize {
    switches.saturating_mul(RESERVED_PER_SWITCH).min(RESERVED_MOST)
}

fn waiting(max_connections: usize) -> usize {
    max_connections.max(WAITING_LEAST)
}

/// The addresses in the `[[switch]]` tables.
#[derive(Debug, Default)]
pub struct SwitchAddresses {
    hosts: Vec<HostPort>,
    known: ArcSwap<HashSet<IpAddr>>,
}

impl SwitchAddresses {
    /// Knows the IP addresses; [`SwitchAddresses::look_up`] resolves the names.
    pub fn new(switches: &[SwitchSettings]) -> Self {
        let hosts: Vec<_> = switches.iter().map(|switch| switch.address.clone()).collect();
        let known = hosts.iter().filter_map(literal).collect();
        Self {
            hosts,
            known: ArcSwap::from_pointee(known),
        }
    }

    /// Resolves the names at intervals. A name that cannot be resolved keeps the addresses it had.
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
            let numbers = self.hosts.iter().filter_map(literal);
            let known = numbers.chain(found.iter().flatten().copied()).collect();
            self.known.store(Arc::new(known));
            sleep(LOOKUP_INTERVAL).await;
        }
    }

    /// How many switches there are.
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
    /// The longest that a connection waits for room.
    wait: Duration,
    room: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    waiting: Semaphore,
    is_full: AtomicBool,
    /// The log says that the server is full, and not yet that it has room again.
    is_logged: AtomicBool,
    refusals: Throttle,
    fullness: Throttle,
}

/// Held by a connection for as long as it lasts.
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    gate: Arc<Gate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The address is in no network of `http.allow`.
    Network,
    /// No room came free in time, or too many wait already.
    Full,
}

impl Gate {
    pub(super) fn new(
        allow: AllowList,
        switches: Arc<SwitchAddresses>,
        health: Arc<Health>,
        max_connections: usize,
        wait: Duration,
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
            wait,
            room: Arc::new(Semaphore::new(max_connections)),
            reserve: Arc::new(Semaphore::new(reserved)),
            waiting: Semaphore::new(waiting(max_connections).min(Semaphore::MAX_PERMITS)),
            is_full: AtomicBool::new(false),
            is_logged: AtomicBool::new(false),
            refusals: Throttle::default(),
            fullness: Throttle::default(),
        }
    }

    /// Lets `peer` in, at once or when there is room.
    pub(super) async fn admit(self: &Arc<Self>, peer: SocketAddr) -> Result<Place, Refusal> {
        if !self.allow.permits(Some(peer.ip())) {
            counter!(HTTP_REFUSED, "reason" => "network").increment(1);
            if let Some(held) = self.refusals.pass(Instant::now()) {
                let peer = peer.ip().to_canonical();
                warn!(%peer, held, "refused: the address is in no network of http.allow");
            }
            return Err(Refusal::Network);
        }
        let is_switch = self.switches.contains(peer);
        let permit = match self.room.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.is_full();
                let reserved = is_switch.then(|| self.reserve.clone().try_acquire_owned().ok());
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
        Ok(Place {
            permit: Some(permit),
            gate: self.clone(),
        })
    }

    async fn wait(&self, is_switch: bool) -> Option<OwnedSemaphorePermit> {
        let _place = self.waiting.try_acquire().ok()?;
        let room = timeout(self.wait, self.room.clone().acquire_owned());
        let permit = if is_switch && self.reserved > 0 {
            tokio::select! {
                permit = room => permit.ok()?,
                permit = self.reserve.clone().acquire_owned() => permit,
            }
        } else {
            room.await.ok()?
        };
        permit.ok()
    }

    fn is_full(&self) {
        if self.is_full.swap(true, Ordering::Relaxed) {
            return;
        }
        let (most, reserved) = (self.max_connections, self.reserved);
        let reason = format!(
            "the HTTP server is full: {most} connections are open, as many as http.max_connections allows, and others wait; {reserved} more \
             are kept for the addresses of [[switch]]"
        );
        if let Some(held) = self.fullness.pass(Instant::now()) {
            error!(held, "{reason}");
            self.is_logged.store(true, Ordering::Relaxed);
        }
        self.health.set(Part::Http, State::Degraded, Some(reason));
    }

    /// Called when a connection ends.
    fn has_room(&self) {
        // Enough room that the next connection doesn't make it full again.
        let enough = self.max_connections.div_ceil(10);
        if self.is_full.load(Ordering::Relaxed)
            && self.room.available_permits() >= enough
            && self.is_full.swap(false, Ordering::Relaxed)
        {
            if self.is_logged.swap(false, Ordering::Relaxed) {
                info!("the HTTP server has room again");
            }
            self.health.set(Part::Http, State::Ok, None);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.permit.take());
        gauge!(HTTP_CONNECTIONS).decrement(1.0);
        self.gate.has_room();
    }
}

#[cfg(test)]
mod tests;
