//! A connected switch: both connections are open, its identity is known, its events are subscribed to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use tokio::time::{Instant, sleep_until};

use super::client::{Client, Events};
use super::commands::{Changes, Commands, QueryError};
use super::connection::connect;
use super::error::{CommandError, ConnectError, Lost};
use super::pulse::Pulse;
use super::timing::Timing;
use crate::shown::shown;

/// HEARTBEAT and SHUTDOWN come before CUSTOM: every word after that one is a subclass (FACTS 34).
const SUBSCRIBE: &str = "event json HEARTBEAT SHUTDOWN CUSTOM sofia::gateway_add sofia::gateway_state \
                         sofia::gateway_delete sofia::gateway_invalid_digest_req sofia::profile_start";

/// How long events are still read after the commands connection ended.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// Where a switch's event socket is, and the name of the switch in the settings.
#[derive(Debug, Clone)]
pub struct SwitchAddress {
    /// What FreeSWITCH must answer to `switchname`.
    pub name: String,
    /// `host:port`.
    pub address: String,
    pub password: SecretString,
}

/// An open pair of connections.
#[derive(Debug)]
pub struct Session {
    events: Events,
    pub commands: Commands,
    pub changes: Changes,
    pub core_uuid: String,
    pub hostname: String,
    /// That of the events connection, which no command keeps from answering.
    pub pulse: Arc<Pulse>,
    /// Held so that the events connection stays open.
    _events_client: Client,
    /// Receives no events, only the end of the commands connection.
    commands_end: Events,
    /// After that end: until when events are still read.
    over_at: Option<Instant>,
}

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("the subscription failed: {0}")]
    Subscribe(#[from] CommandError),
    #[error(
        "it answers `switchname` with \"{answered}\", but this [[switch]] is named {name:?}: set `name = \
         \"{answered}\"`, or give FreeSWITCH the name {name:?} (`switchname` in switch.conf.xml). Cloned hosts may \
         share a switchname",
        answered = shown(answered)
    )]
    OtherName { name: String, answered: String },
}

impl OpenError {
    /// Whether retrying soon is useless, because only a changed setting helps.
    pub fn needs_an_operator(&self) -> bool {
        matches!(
            self,
            Self::Connect(ConnectError::BadPassword | ConnectError::AccessDenied) | Self::OtherName { .. }
        )
    }

    /// The label of the metric.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::BadPassword) => "bad_password",
            Self::Connect(ConnectError::AccessDenied) => "access_denied",
            Self::OtherName { .. } => "other_name",
            _ => "failed",
        }
    }
}

/// Whether the switch is the one that the settings name.
pub(super) async fn check_name(commands: &Commands, switch: &SwitchAddress) -> Result<(), OpenError> {
    let answered = commands.switchname().await?;
    if answered != switch.name {
        return Err(OpenError::OtherName {
            name: switch.name.clone(),
            answered,
        });
    }
    Ok(())
}

impl Session {
    /// Connects, authenticates, asks who the switch is, and subscribes.
    ///
    /// # Errors
    /// [`OpenError`], among them a switch that goes by another name than the settings say.
    pub async fn open(switch: &SwitchAddress, timing: Timing) -> Result<Self, OpenError> {
        let (events_client, events) = connect(&switch.address, &switch.password, timing).await?;
        let (commands_client, commands_end) = connect(&switch.address, &switch.password, timing).await?;
        let changes = Changes::new(commands_client.clone());
        let commands = Commands::new(commands_client);
        check_name(&commands, switch).await?;
        let core_uuid = commands.core_uuid().await?;
        let hostname = commands.hostname().await?;
        events_client.command(SUBSCRIBE, Duration::from_secs(5)).await?;
        Ok(Self {
            events,
            commands,
            changes,
            core_uuid,
            hostname,
            pulse: events_client.pulse.clone(),
            _events_client: events_client,
            commands_end,
            over_at: None,
        })
    }

    /// Waits for events and appends those that are there, `limit` at most. Cancel-safe.
    ///
    /// # Errors
    /// Why one of the connections is over. After the end of the commands connection, events are
    /// still read for a moment: a switch that shuts down closes both, and its last events say so.
    pub async fn next(&mut self, events: &mut Vec<Bytes>, limit: usize) -> Result<(), Lost> {
        loop {
            let over = async {
                match self.over_at {
                    Some(at) => sleep_until(at).await,
                    None => self.commands_end.ended().await,
                }
            };
            tokio::select! {
                biased;
                received = self.events.next(events, limit) => {
                    return if received > 0 { Ok(()) } else { Err(self.events.lost()) };
                }
                () = over => {}
            }
            match self.over_at {
                Some(_) => return Err(self.commands_end.lost()),
                None => self.over_at = Some(Instant::now() + LAST_EVENTS),
            }
        }
    }
}
