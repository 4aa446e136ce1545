//! Why no connection came about, why one ended, and why a command has no answer.

use std::time::Duration;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("no answer within {0:?} while {1}")]
    Timeout(Duration, &'static str),
    #[error(
        "FreeSWITCH refused the event-socket password: make `password` of this [[switch]] the one in \
         FreeSWITCH's event_socket.conf.xml"
    )]
    BadPassword,
    #[error(
        "FreeSWITCH turned us away by its access list: out of the box its event socket lets in loopback only; \
         set `apply-inbound-acl` in \
         event_socket.conf.xml to a list that contains this host, and reload mod_event_socket"
    )]
    AccessDenied,
    #[error("the peer is not a FreeSWITCH event socket: {0}")]
    Protocol(String),
    #[error("the peer closed the connection while {0}")]
    Closed(&'static str),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("FreeSWITCH closed the connection: {0}")]
    Notice(String),
    #[error("the connection was closed")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(String),
    #[error("no sign of life for {0:?}, although asked")]
    Silent(Duration),
    #[error("unreadable: {0}")]
    Protocol(String),
}

/// Why a command has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    #[error("`{command}` had no answer within {limit:?}")]
    Timeout { command: String, limit: Duration },
    #[error("the connection ended before `{command}` was answered")]
    Lost { command: String },
    #[error("`{command}` was not sent: this trunkd lost the right to change the switch while the command waited")]
    NotPermitted { command: String },
    #[error("`{command}` was refused: {reply}")]
    Refused { command: String, reply: String },
    #[error("`{command}` had an unexpected answer: {reply:?}")]
    Unexpected { command: String, reply: String },
}
