//! Everything at one moment, as a test may look at it.

use super::bus::ConnectionRecord;
use super::core::Core;
use super::event::Event;
use super::registrar::Wire;
use super::sofia::{Gateway, Profile};
use super::xml_curl::HttpRequest;
use std::time::Instant;

/// Everything at one moment
pub struct View<'a> {
    pub(super) core: &'a Core,
}

impl View<'_> {
    /// Every gateway that FreeSWITCH lists, in the order of `xmlstatus`: those marked for deletion and ghosts too.
    pub fn gateways(&self) -> Vec<&Gateway> {
        self.core.sofia.listed().collect()
    }

    /// The live gateway of that name, as commands and calls find it
    pub fn gateway(&self, name: &str) -> Option<&Gateway> {
        self.core.sofia.gateway(name)
    }

    /// Its state, in FreeSWITCH's word
    pub fn state(&self, name: &str) -> Option<&'static str> {
        self.gateway(name).map(|gateway| gateway.state.name())
    }

    /// All of that name, the newest of a profile first
    pub fn all(&self, name: &str) -> Vec<&Gateway> {
        self.core
            .sofia
            .listed()
            .filter(|gateway| gateway.name == name)
            .collect()
    }

    pub fn ghosts(&self) -> Vec<&Gateway> {
        self.core
            .sofia
            .listed()
            .filter(|gateway| self.core.sofia.is_ghost(gateway))
            .collect()
    }

    /// Calls that are up over a gateway of that name
    pub fn calls(&self, gateway: &str) -> usize {
        let up = self.core.calls.up.values();
        up.filter(|call| call.gateway.as_deref() == Some(gateway)).count()
    }

    pub fn profiles(&self) -> Vec<&Profile> {
        self.core
            .sofia
            .profiles
            .iter()
            .filter(|profile| profile.running)
            .collect()
    }

    /// OPTIONS that a profile got since it started, answered or not
    pub fn options(&self, profile: &str) -> usize {
        self.core.sip.get(profile).map_or(0, |socket| socket.received)
    }

    /// False where mod_sofia found no configuration (FACTS 7)
    pub fn sofia_loaded(&self) -> bool {
        self.core.sofia.loaded
    }

    /// Connections that are up
    pub fn connections(&self) -> Vec<&ConnectionRecord> {
        self.core
            .bus
            .connections
            .values()
            .map(|connection| &connection.record)
            .collect()
    }

    /// Connections that are up or over, oldest first.
    pub fn all_connections(&self) -> Vec<&ConnectionRecord> {
        let mut all: Vec<&ConnectionRecord> = self.core.bus.past_connections.iter().collect();
        all.extend(self.connections());
        all.sort_by_key(|connection| connection.id);
        all
    }

    /// Every received command line, connection by connection.
    pub fn commands(&self) -> Vec<&str> {
        self.all_connections()
            .into_iter()
            .flat_map(|c| c.commands.iter().map(String::as_str))
            .collect()
    }

    /// When the latest command line of this kind was received.
    pub fn arrival(&self, is_it: impl Fn(&str) -> bool) -> Option<Instant> {
        let of_connection = |connection: &ConnectionRecord| {
            let latest = connection.commands.iter().rposition(|line| is_it(line))?;
            Some(connection.arrivals[latest])
        };
        self.all_connections().into_iter().filter_map(of_connection).max()
    }

    /// Connections that subscribed to events.
    pub fn listeners(&self) -> usize {
        self.core
            .bus
            .connections
            .values()
            .filter(|connection| connection.listening)
            .count()
    }

    pub(super) fn delivered(&self) -> bool {
        let mut connections = self.core.bus.connections.values();
        connections.all(|connection| connection.stalled || (connection.queue.is_empty() && !connection.writing))
    }

    /// Every HTTP request since the start, including those for other configurations.
    pub fn requests(&self) -> &[HttpRequest] {
        &self.core.requests
    }

    /// Those for `sofia.conf`
    pub fn sofia_requests(&self) -> Vec<&HttpRequest> {
        self.core
            .requests
            .iter()
            .filter(|request| request.configuration() == "sofia.conf")
            .collect()
    }

    /// The SIP requests sent to carriers, in order.
    pub fn wire(&self) -> &[Wire] {
        self.core.registrar.wire()
    }

    /// The last 10,000 events fired, whether or not anybody subscribed.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.core.bus.history.iter()
    }

    /// The same as they were sent: lost ones not, duplicates twice, late ones late.
    pub fn sent(&self) -> impl Iterator<Item = &Event> {
        self.core.bus.sent.iter()
    }

    /// Warnings and errors of mod_sofia's log
    pub fn log(&self) -> &[String] {
        &self.core.sofia.log
    }

    pub fn core_uuid(&self) -> &str {
        &self.core.bus.core_uuid
    }

    /// `Event-Sequence` of the last event
    pub fn sequence(&self) -> u64 {
        self.core.bus.sequence
    }

    /// Seconds since the start, by the fake's clock
    pub fn ticks(&self) -> i64 {
        self.core.sofia.ticks
    }

    /// Seconds since 1970, by the fake's clock
    pub fn now(&self) -> i64 {
        self.core.sofia.now
    }

    /// A summary for a failed wait.
    pub fn summary(&self) -> String {
        let gateways: Vec<String> = self
            .core
            .sofia
            .listed()
            .take(20)
            .map(|g| {
                format!(
                    "{}::{} {} {}",
                    g.profile,
                    g.name,
                    g.state.name(),
                    if g.deleted { "deleted" } else { "" }
                )
            })
            .collect();
        let commands: Vec<&str> = self
            .commands()
            .into_iter()
            .filter(|line| !line.starts_with("auth "))
            .collect();
        let last_commands = &commands[commands.len().saturating_sub(20)..];
        let requests: Vec<String> = self
            .core
            .requests
            .iter()
            .rev()
            .take(5)
            .map(|r| format!("{:?} {:?} {:?}", r.field("profile"), r.status, r.error))
            .collect();
        format!(
            "Gateways: {gateways:?}. Connections up: {}. Last commands: {last_commands:?}. Last requests: {requests:?}. \
             Log: {:?}",
            self.core.bus.connections.len(),
            self.core.sofia.log.iter().rev().take(5).collect::<Vec<_>>(),
        )
    }
}
