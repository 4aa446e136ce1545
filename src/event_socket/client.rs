//! The two ends that callers hold of a connection: [`Client`] sends commands, [`Events`] receives events.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::error::{CommandError, Lost};
use super::frame::{ContentType, Frame};
use super::pulse::Pulse;

/// The sending end. Clones share the connection, which ends when all of them and the [`Events`] are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) commands: mpsc::Sender<QueuedCommand>,
    pub(super) pulse: Arc<Pulse>,
}

/// The receiving end: the JSON of each event, as FreeSWITCH sent it.
#[derive(Debug)]
pub struct Events {
    pub(super) queue: mpsc::Receiver<Bytes>,
    pub(super) lost: Arc<OnceLock<Lost>>,
}

/// The right to send a command. It is checked right before the command is written, because the command may have waited
/// in the queue.
#[derive(Clone)]
pub struct Permit(Arc<dyn Fn() -> bool + Send + Sync>);

impl Permit {
    pub fn new(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({})", self.holds())
    }
}

#[derive(Debug)]
pub(super) struct QueuedCommand {
    pub(super) line: String,
    /// Nobody waits for the reply after this.
    deadline: Instant,
    /// `None` for a question, which is always allowed.
    permit: Option<Permit>,
    /// Closed once the caller no longer waits. A late reply is then read and thrown away, so that the next ones stay in
    /// step.
    pub(super) reply: oneshot::Sender<CommandReply>,
}

#[derive(Debug)]
pub(super) enum CommandReply {
    Frame(Frame),
    NotPermitted,
}

impl QueuedCommand {
    /// The caller timed out or was cancelled. The deadline counts too: after the whole process stalled, this may be
    /// checked before the caller's timer fires.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed() || self.deadline <= Instant::now()
    }

    pub(super) fn is_permitted(&self) -> bool {
        self.permit.as_ref().is_none_or(Permit::holds)
    }
}

impl Client {
    /// Whether the connection is over, so that no command will be answered.
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }

    /// Runs an `api` command and returns its output.
    ///
    /// # Errors
    /// [`CommandError`]. What the command itself calls an error (`-ERR …` in the output) is output.
    pub async fn api(&self, command: &str, limit: Duration) -> Result<Bytes, CommandError> {
        self.run(command, limit, None).await
    }

    /// The same for a command that changes something: it is only sent while `permit` holds.
    ///
    /// # Errors
    /// [`CommandError::NotPermitted`] when it was not sent, else as [`Client::api`].
    pub async fn api_if(&self, command: &str, limit: Duration, permit: Permit) -> Result<Bytes, CommandError> {
        self.run(command, limit, Some(permit)).await
    }

    pub(super) async fn run(
        &self,
        command: &str,
        limit: Duration,
        permit: Option<Permit>,
    ) -> Result<Bytes, CommandError> {
        let frame = self.send(&format!("api {command}"), command, limit, permit).await?;
        match frame.content_type {
            ContentType::ApiResponse => Ok(frame.body),
            _ => Err(refusal(command, frame)),
        }
    }

    /// Runs a command of the event socket itself (`event json …`).
    ///
    /// # Errors
    /// [`CommandError`], also when FreeSWITCH does not answer `+OK`.
    pub async fn command(&self, command: &str, limit: Duration) -> Result<(), CommandError> {
        let frame = self.send(command, command, limit, None).await?;
        match &frame.reply_text {
            Some(text) if text.starts_with("+OK") => Ok(()),
            _ => Err(refusal(command, frame)),
        }
    }

    async fn send(
        &self,
        line: &str,
        command: &str,
        limit: Duration,
        permit: Option<Permit>,
    ) -> Result<Frame, CommandError> {
        let lost = || CommandError::Lost {
            command: shortened(command),
        };
        let (reply, answer) = oneshot::channel();
        let queued = QueuedCommand {
            line: line.to_owned(),
            deadline: Instant::now() + limit,
            permit,
            reply,
        };
        let exchange = async {
            self.commands.send(queued).await.map_err(|_| lost())?;
            match answer.await.map_err(|_| lost())? {
                CommandReply::Frame(frame) => Ok(frame),
                CommandReply::NotPermitted => Err(CommandError::NotPermitted {
                    command: shortened(command),
                }),
            }
        };
        timeout(limit, exchange).await.map_err(|_| CommandError::Timeout {
            command: shortened(command),
            limit,
        })?
    }
}

impl Events {
    /// Waits for events and appends those that are there, `limit` at most. Returns how many: 0 once the connection is
    /// over and all of its events were returned. Cancel-safe.
    pub async fn next(&mut self, events: &mut Vec<Bytes>, limit: usize) -> usize {
        self.queue.recv_many(events, limit).await
    }

    /// Waits until the connection is over. For one that receives no events. Cancel-safe.
    pub async fn ended(&mut self) {
        while self.queue.recv().await.is_some() {}
    }

    /// Why the connection is over, after [`Events::next`] or [`Events::ended`] said so.
    pub fn lost(&self) -> Lost {
        self.lost.get().cloned().unwrap_or(Lost::Closed)
    }
}

/// A command in an error message: one that asks for many gateways is long.
fn shortened(command: &str) -> String {
    const MAX_CHARS: usize = 120;
    match command.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", &command[..at]),
        None => command.to_owned(),
    }
}

fn refusal(command: &str, frame: Frame) -> CommandError {
    let command = shortened(command);
    match frame.reply_text {
        Some(reply) if reply.starts_with("-ERR") => CommandError::Refused { command, reply },
        Some(reply) => CommandError::Unexpected { command, reply },
        None => CommandError::Unexpected {
            command,
            reply: format!("{:?}", frame.content_type),
        },
    }
}
