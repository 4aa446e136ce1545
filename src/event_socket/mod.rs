//! FreeSWITCH's event socket: connections, frames, the commands we send and the events that we receive.
//!
//! The only room that speaks this protocol. Knows nothing about Redis. A switch gets two
//! connections, one for events and one for commands, because a long `api` command delays the events
//! of its own connection (FACTS 36). If calls are counted it gets a third one, so that no flood of
//! calls delays the events of gateways.
//!
//! The client is our own, not a crate. The reply to `sofia xmlstatus gateway` is 9.3 MB at 10,000
//! gateways (FACTS 21), an event must be passed on as the bytes that FreeSWITCH sent, and a queued
//! command must be taken back when its caller gives up or the lease moves. The crates that we know
//! cap a message at 8 MiB and return decoded headers.

mod client;
mod commands;
mod connection;
mod driver;
mod error;
mod event;
mod frame;
mod frame_stream;
mod hangup;
mod pulse;
mod reconnect;
mod session;
mod timing;
mod xmlstatus;

pub use client::{Client, Events, Permit};
pub use commands::{Changes, Commands, Killed, QueryError, RegistrationReply, SNAPSHOT_CHUNK};
pub use connection::connect;
pub use error::{CommandError, ConnectError, Lost};
pub use event::{Event, EventError, GatewayEvent, MAX_SEQUENCE, Subclass, headers};
pub use hangup::{Direction, Hangup, Hangups};
pub use pulse::Pulse;
pub use reconnect::{Reconnect, RetryDelays};
pub use session::{OpenError, Session, SwitchAddress};
pub use timing::Timing;
pub use xmlstatus::{
    GatewayDetails, GatewayStatus, StatusError, parse_gateway, parse_gateways, parse_profiles, parse_sip_address,
};
