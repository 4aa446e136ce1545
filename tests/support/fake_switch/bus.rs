//! One run of FreeSWITCH as its events show it: who it is, the sequence over all events, who listens, and what goes
//! wrong on the way to them.

use super::event::{self, Event, Origin};
use bytes::Bytes;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// `MAX_QUEUE_LEN` and `MAX_MISSED` of mod_event_socket
const QUEUE_MAX: usize = 100_000;
const MISSED_MAX: u32 = 500;
/// Fired events that are kept for tests to look at
const HISTORY_MAX: usize = 10_000;
/// Roughly the sequence of a real FreeSWITCH when mod_sofia loads
const FIRST_SEQUENCE: u64 = 180;

pub struct Bus {
    pub core_uuid: String,
    pub hostname: String,
    pub switchname: String,
    pub ipv4: String,
    pub ipv6: String,
    pub sequence: u64,
    pub booted: Instant,
    pub connections: BTreeMap<u64, Connection>,
    /// Connections that are over, for tests to look at
    pub past_connections: Vec<ConnectionRecord>,
    pub next_connection: u64,
    pub history: VecDeque<Event>,
    /// What left, in that order: without what was lost, and with what came twice
    pub sent: VecDeque<Event>,
    pub lose_next: usize,
    pub duplicate_next: usize,
    pub reorder: Vec<Event>,
    pub reorder_next: usize,
}

pub struct Connection {
    pub record: ConnectionRecord,
    pub format: Format,
    /// LFLAG_EVENTS
    pub listening: bool,
    pub all: bool,
    pub names: HashSet<&'static str>,
    pub subclasses: HashSet<String>,
    /// Frames not yet taken by the connection's task
    pub queue: VecDeque<Bytes>,
    /// The task is writing frames that it took
    pub writing: bool,
    pub missed: u32,
    pub stalled: bool,
    /// Say this (a disconnect notice) once the queue is out, then close
    pub farewell: Option<&'static str>,
    pub wake: Arc<Notify>,
    /// Cancelled to cut the connection immediately
    pub cut: CancellationToken,
}

/// What a test may know of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionRecord {
    /// Counts from 1 in the order of connecting
    pub id: u64,
    pub peer: SocketAddr,
    pub authenticated: bool,
    /// Command lines in the order they came, the password of `auth` included
    pub commands: Vec<String>,
    /// When the last bytes of each were read
    pub arrivals: Vec<Instant>,
    pub open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Plain,
    Json,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Json => "json",
        }
    }
}

impl Bus {
    pub fn new(switchname: &str) -> Self {
        Bus {
            core_uuid: new_uuid(),
            hostname: switchname.to_owned(),
            switchname: switchname.to_owned(),
            ipv4: "192.0.2.2".to_owned(),
            ipv6: "fd00::2".to_owned(),
            sequence: FIRST_SEQUENCE,
            booted: Instant::now(),
            connections: BTreeMap::new(),
            past_connections: Vec::new(),
            next_connection: 1,
            history: VecDeque::new(),
            sent: VecDeque::new(),
            lose_next: 0,
            duplicate_next: 0,
            reorder: Vec::new(),
            reorder_next: 0,
        }
    }

    /// A new run: another Core-UUID, the sequence from its start.
    pub fn boot(&mut self) {
        self.core_uuid = new_uuid();
        self.sequence = FIRST_SEQUENCE;
        self.booted = Instant::now();
        self.reorder.clear();
        self.reorder_next = 0;
    }

    /// `switch_event_create`: takes its sequence number now, whenever it is fired.
    pub fn create(&mut self, name: &str, subclass: Option<&str>, origin: Origin) -> Event {
        self.sequence += 1;
        let usec = event::now_usec();
        let (local, gmt) = event::dates(usec);
        let Origin(file, function, line) = origin;
        let mut event = Event {
            headers: Vec::with_capacity(20),
            body: None,
        };
        if let Some(subclass) = subclass {
            event = event.with("Event-Subclass", subclass);
        }
        event
            .with("Event-Name", name)
            .with("Core-UUID", &*self.core_uuid)
            .with("FreeSWITCH-Hostname", &*self.hostname)
            .with("FreeSWITCH-Switchname", &*self.switchname)
            .with("FreeSWITCH-IPv4", &*self.ipv4)
            .with("FreeSWITCH-IPv6", &*self.ipv6)
            .with("Event-Date-Local", local)
            .with("Event-Date-GMT", gmt)
            .with("Event-Date-Timestamp", usec.to_string())
            .with("Event-Calling-File", file)
            .with("Event-Calling-Function", function)
            .with("Event-Calling-Line-Number", line.to_string())
            .with("Event-Sequence", self.sequence.to_string())
    }

    /// Delivers an event to the listeners, or to the configured fault.
    pub fn fire(&mut self, event: Event) {
        remember(&mut self.history, &event);
        if !matches!(event.name(), "CUSTOM" | "HEARTBEAT") {
            self.deliver(&event); // faults are for what trunkd listens to
        } else if self.lose_next > 0 {
            self.lose_next -= 1;
        } else if self.reorder_next > 0 {
            self.reorder_next -= 1;
            self.reorder.push(event);
            if self.reorder_next == 0 {
                for event in std::mem::take(&mut self.reorder).iter().rev() {
                    self.deliver(event);
                }
            }
        } else {
            self.deliver(&event);
            if self.duplicate_next > 0 {
                self.duplicate_next -= 1;
                self.deliver(&event);
            }
        }
    }

    fn deliver(&mut self, event: &Event) {
        remember(&mut self.sent, event);
        let (mut json, mut plain) = (None, None);
        for connection in self
            .connections
            .values_mut()
            .filter(|c| c.wants(event.name(), event.subclass()))
        {
            let frame = match connection.format {
                Format::Json => json.get_or_insert_with(|| frame(Format::Json, &event.to_json())),
                Format::Plain => plain.get_or_insert_with(|| frame(Format::Plain, &event.to_plain())),
            };
            connection.push(frame.clone());
        }
    }

    /// An event given as JSON text, sent as it stands to who listens for its name (and format) or, where the text has
    /// none, to everybody who listens.
    pub fn inject_json(&mut self, text: &str) {
        let parsed: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let name = parsed["Event-Name"].as_str();
        let frame = frame(Format::Json, text);
        for connection in self.connections.values_mut() {
            let wanted = match name {
                Some(name) => connection.wants(name, parsed["Event-Subclass"].as_str()),
                None => connection.listening,
            };
            if wanted && connection.format == Format::Json {
                connection.push(frame.clone());
            }
        }
    }

    /// Bytes as they stand, to every connection that listens to events.
    pub fn inject_bytes(&mut self, bytes: &Bytes) {
        for connection in self.connections.values_mut().filter(|connection| connection.listening) {
            connection.push(bytes.clone());
        }
    }

    /// Frames in JSON, to who listens for such events. Returns the number of connections.
    pub fn inject_frames(&mut self, name: &str, subclass: Option<&str>, frames: &Bytes) -> usize {
        let connections = self.connections.values_mut();
        let mut reached = 0;
        for connection in connections.filter(|one| one.format == Format::Json && one.wants(name, subclass)) {
            connection.push(frames.clone());
            reached += 1;
        }
        reached
    }
}

fn remember(events: &mut VecDeque<Event>, event: &Event) {
    if events.len() == HISTORY_MAX {
        events.pop_front();
    }
    events.push_back(event.clone());
}

impl Connection {
    pub fn new(id: u64, peer: SocketAddr) -> Self {
        Connection {
            record: ConnectionRecord {
                id,
                peer,
                authenticated: false,
                commands: Vec::new(),
                arrivals: Vec::new(),
                open: true,
            },
            format: Format::Plain,
            listening: false,
            all: false,
            names: HashSet::new(),
            subclasses: HashSet::new(),
            queue: VecDeque::new(),
            writing: false,
            missed: 0,
            stalled: false,
            farewell: None,
            wake: Arc::new(Notify::new()),
            cut: CancellationToken::new(),
        }
    }

    fn wants(&self, name: &str, subclass: Option<&str>) -> bool {
        if !self.listening {
            return false;
        }
        self.all
            || (self.names.contains(name)
                && (name != "CUSTOM" || subclass.is_none_or(|subclass| self.subclasses.contains(subclass))))
    }

    fn push(&mut self, frame: Bytes) {
        if self.queue.len() < QUEUE_MAX {
            self.queue.push_back(frame);
            self.missed = 0;
        } else {
            self.missed += 1;
            if self.missed > MISSED_MAX {
                self.cut.cancel(); // FACTS 33; whoever reads so little wouldn't get a notice either
            }
        }
        self.wake.notify_one();
    }
}

pub fn frame(format: Format, body: &str) -> Bytes {
    Bytes::from(format!(
        "Content-Length: {}\nContent-Type: text/event-{}\n\n{body}",
        body.len(),
        format.name()
    ))
}

pub fn new_uuid() -> String {
    let n: u128 = rand::random();
    let hex = format!("{:032x}", (n & !(0xF << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62));
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
