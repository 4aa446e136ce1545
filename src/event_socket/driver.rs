//! The task that owns a connection's socket: it writes commands, distributes replies and events, and notices when the
//! peer is gone.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::client::{CommandReply, QueuedCommand};
use super::error::Lost;
use super::frame::{ContentType, Frame};
use super::frame_stream::FrameStream;
use super::pulse::Pulse;
use super::timing::Timing;

/// A question that FreeSWITCH answers in no time.
const SIGN_OF_LIFE: &str = "api status";

pub(super) struct Driver<S> {
    pub(super) stream: FrameStream<S>,
    pub(super) commands: mpsc::Receiver<QueuedCommand>,
    pub(super) events: mpsc::Sender<Bytes>,
    pub(super) timing: Timing,
    pub(super) pulse: Arc<Pulse>,
    /// Who waits for the replies to what was written, in order: one command at most, and our own question for a sign of
    /// life (`None`).
    waiting: VecDeque<Option<oneshot::Sender<CommandReply>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(
        stream: FrameStream<S>,
        commands: mpsc::Receiver<QueuedCommand>,
        events: mpsc::Sender<Bytes>,
        timing: Timing,
    ) -> Self {
        Self {
            stream,
            commands,
            events,
            timing,
            pulse: Arc::new(Pulse::new(timing)),
            waiting: VecDeque::new(),
        }
    }

    pub(super) async fn run(mut self, lost: &OnceLock<Lost>) {
        if let Err(reason) = self.drive().await {
            // Set before the queues close, so that a task that sees them closed finds the reason.
            let _ = lost.set(reason);
        }
    }

    /// Until the connection is lost, or all its other ends are dropped.
    async fn drive(&mut self) -> Result<(), Lost> {
        loop {
            tokio::select! {
                // One at a time: a command that FreeSWITCH has not begun can still be taken back,
                // and runs as soon as it is sent.
                command = self.commands.recv(), if self.waiting.is_empty() => match command {
                    Some(command) => self.write(command).await?,
                    None => return Ok(()),
                },
                read = self.stream.read() => {
                    read?;
                    self.pulse.heard();
                    while let Some(frame) = self.stream.decode().map_err(|error| Lost::Protocol(error.to_string()))? {
                        self.deliver(frame).await?;
                    }
                }
                ask = self.pulse.ask() => {
                    ask?;
                    self.stream.send(SIGN_OF_LIFE, self.timing.answer).await?;
                    self.waiting.push_back(None);
                }
            }
        }
    }

    /// Writes a command, unless nobody waits for it any more or it may no longer be sent.
    async fn write(&mut self, command: QueuedCommand) -> Result<(), Lost> {
        if command.is_abandoned() {
            return Ok(());
        }
        if !command.is_permitted() {
            let _ = command.reply.send(CommandReply::NotPermitted);
            return Ok(());
        }
        self.stream.send(&command.line, self.timing.answer).await?;
        self.waiting.push_back(Some(command.reply));
        Ok(())
    }

    async fn deliver(&mut self, frame: Frame) -> Result<(), Lost> {
        match frame.content_type {
            // The receiver is gone when only replies are wanted. Then its events go nowhere.
            ContentType::EventJson => drop(self.events.send(frame.body).await),
            ContentType::ApiResponse | ContentType::CommandReply => match self.waiting.pop_front() {
                Some(Some(reply)) => drop(reply.send(CommandReply::Frame(frame))),
                Some(None) => {}
                None => return Err(Lost::Protocol("a reply to no command".to_owned())),
            },
            ContentType::DisconnectNotice => {
                let notice = String::from_utf8_lossy(&frame.body).trim().replace('\n', " ");
                return Err(Lost::Notice(notice));
            }
            ContentType::AuthRequest | ContentType::RudeRejection | ContentType::Other(_) => {}
        }
        Ok(())
    }
}
