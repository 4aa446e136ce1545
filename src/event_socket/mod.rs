//! FreeSWITCH's event socket: the connection, its frames, the commands we send and the events that come.
//!
//! The only room that speaks this protocol; knows nothing of Redis. A switch gets two connections, one for events and one for commands,
//! since a long `api` command holds up the events of its own connection (FACTS 36).
//!
//! The client is our own, not a crate: a reply to `sofia xmlstatus gateway` of 10,000 gateways is 9.3 MB (FACTS 21), an event must be passed
//! on as the bytes that FreeSWITCH sent, and a command that waits in the queue must be taken back when its caller gives up or the lease moves;
//! the crates known to us cap a message at 8 MiB and hand out decoded headers.

mod commands;
mod connection;
mod event;
mod frame;
mod session;
mod xmlstatus;

pub use commands::{Changes, Commands, Killed, QueryError, SNAPSHOT_CHUNK};
pub use connection::{Client, CommandError, ConnectError, Events, Lost, Permit, Timing, connect};
pub use event::{Event, EventError, GatewayEvent, MAX_SEQUENCE, Subclass, headers};
pub use session::{OpenError, Session, SwitchAddress};
pub use xmlstatus::{GatewayDetails, GatewayStatus, StatusError, parse_gateway, parse_gateways, parse_profiles};
