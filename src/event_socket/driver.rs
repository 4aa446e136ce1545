//! One connection: authentication, commands one after the other, events, and noticing that the peer is gone.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::frame::{Decoder, Frame, FrameError, Kind};

/// Events that may wait for the reader before the socket is held back: 32 MiB of the longest. The reader never waits for Redis, so this only rides
/// out a scheduling gap.
const EVENT_QUEUE: usize = 512;
/// Commands that may wait to be written.
const COMMAND_QUEUE: usize = 256;
/// Small enough to be cheap for a quiet switch; grows by itself for long replies.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// While more comes than that holds.
const BUSY_READ_BUFFER_BYTES: usize = 64 * 1024;

/// How long things may take on a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the TCP connection, and again for each step of the authentication.
    pub connect: Duration,
    /// After so long without a byte FreeSWITCH is asked for a sign of life (FACTS 35).
    pub silence: Duration,
    /// No byte for so long after asking, and the connection is dead.
    pub answer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(25),
            answer: Duration::from_secs(5),
        }
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("no answer within {0:?} while {1}")]
    Timeout(Duration, &'static str),
    #[error(
        "FreeSWITCH refused the event-socket password: make `password` of this [[switch]] the one in FreeSWITCH's event_socket.conf.xml"
    )]
    BadPassword,
    #[error(
        "FreeSWITCH turned us away by its access list: out of the box its event socket lets in loopback only; set `apply-inbound-acl` in \
         event_socket.conf.xml to a list that holds this host, and reload mod_event_socket"
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
    #[error("`{command}` was not sent: by the time it could be, this trunkd had lost the right to change the switch")]
    NotPermitted { command: String },
    #[error("`{command}` was refused: {reply}")]
    Refused { command: String, reply: String },
    #[error("`{command}` was answered by something unexpected: {reply:?}")]
    Unexpected { command: String, reply: String },
}

/// The sending side. Clones share the connection; it ends when all of them and the [`Events`] are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

/// The receiving side: each event's JSON, as FreeSWITCH sent it.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Bytes>,
    lost: Arc<OnceLock<Lost>>,
}

/// The right to send a command, asked for right before it is written: it may have waited in the queue meanwhile.
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
struct Command {
    line: String,
    /// Nobody waits for the answer after this.
    deadline: Instant,
    /// `None` for a question, which may always be asked.
    permit: Option<Permit>,
    /// Dropped by a caller that no longer waits: the late reply is then read and thrown away, so the ones after it stay in step.
    reply: oneshot::Sender<Reply>,
}

#[derive(Debug)]
enum Reply {
    Frame(Frame),
    NotPermitted,
}

impl Command {
    /// Its caller timed out or was cancelled. The deadline counts as well: after a stall of the whole process this
    /// may be looked at before the caller's own timer.
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed() || self.deadline <= Instant::now()
    }
}

/// Opens a connection to `address` (`host:port`) and authenticates.
///
/// # Errors
/// [`ConnectError`]: each kind says what to do about it.
pub async fn connect(address: &str, password: &SecretString, timing: Timing) -> Result<(Client, Events), ConnectError> {
    let stream = timeout(timing.connect, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::Timeout(timing.connect, "connecting"))??;
    stream.set_nodelay(true)?;
    let mut wire = Wire {
        stream,
        buffer: BytesMut::with_capacity(READ_BUFFER_BYTES),
        is_busy: false,
        decoder: Decoder::default(),
    };
    authenticate(&mut wire, password, timing.connect).await?;

    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (event_sender, queue) = mpsc::channel(EVENT_QUEUE);
    let lost = Arc::new(OnceLock::new());
    let driver = Driver {
        wire,
        commands: command_queue,
        events: event_sender,
        waiting: VecDeque::new(),
        timing,
    };
    let end = lost.clone();
    tokio::spawn(async move { driver.run(&end).await });
    Ok((Client { commands }, Events { queue, lost }))
}

async fn authenticate(wire: &mut Wire, password: &SecretString, limit: Duration) -> Result<(), ConnectError> {
    let greeting = wire.expect_frame(limit, "waiting for the greeting").await?;
    match greeting.kind {
        Kind::AuthRequest => {}
        Kind::RudeRejection => return Err(ConnectError::AccessDenied),
        other => return Err(ConnectError::Protocol(format!("it greeted with {other:?}"))),
    }
    // A line feed would end the command and start another one.
    if password.expose_secret().contains(['\n', '\r']) {
        return Err(ConnectError::BadPassword);
    }
    wire.stream
        .write_all(format!("auth {}\n\n", password.expose_secret()).as_bytes())
        .await?;
    let answer = wire.expect_frame(limit, "authenticating").await?;
    match answer.reply_text.as_deref() {
        Some(text) if text.starts_with("+OK") => Ok(()),
        Some(text) if text.starts_with("-ERR") => Err(ConnectError::BadPassword),
        other => Err(ConnectError::Protocol(format!(
            "it answered the password with {other:?}"
        ))),
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
    /// [`CommandError`]; what the command itself calls an error (`-ERR …` in the output) is output.
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

    async fn run(&self, command: &str, limit: Duration, permit: Option<Permit>) -> Result<Bytes, CommandError> {
        let frame = self.send(&format!("api {command}"), command, limit, permit).await?;
        match frame.kind {
            Kind::ApiResponse => Ok(frame.body),
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
            command: shown(command),
        };
        let (reply, answer) = oneshot::channel();
        let queued = Command {
            line: line.to_owned(),
            deadline: Instant::now() + limit,
            permit,
            reply,
        };
        let exchange = async {
            self.commands.send(queued).await.map_err(|_| lost())?;
            match answer.await.map_err(|_| lost())? {
                Reply::Frame(frame) => Ok(frame),
                Reply::NotPermitted => Err(CommandError::NotPermitted {
                    command: shown(command),
                }),
            }
        };
        timeout(limit, exchange).await.map_err(|_| CommandError::Timeout {
            command: shown(command),
            limit,
        })?
    }
}

/// A command as errors show it: those that ask for many gateways at once are long.
fn shown(command: &str) -> String {
    const MOST: usize = 120;
    match command.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &command[..at]),
        None => command.to_owned(),
    }
}

fn refusal(command: &str, frame: Frame) -> CommandError {
    let command = shown(command);
    match frame.reply_text {
        Some(reply) if reply.starts_with("-ERR") => CommandError::Refused { command, reply },
        Some(reply) => CommandError::Unexpected { command, reply },
        None => CommandError::Unexpected {
            command,
            reply: format!("{:?}", frame.kind),
        },
    }
}

impl Events {
    /// Waits for events and appends what is there, at most so many. How many those were: none once the connection is over and all of its
    /// events were handed out. Cancel-safe.
    pub async fn next(&mut self, events: &mut Vec<Bytes>, most: usize) -> usize {
        self.queue.recv_many(events, most).await
    }

    /// Until the connection is over, on one that no events come on. Cancel-safe.
    pub async fn ended(&mut self) {
        while self.queue.recv().await.is_some() {}
    }

    /// Why the connection is over, once [`Events::next`] or [`Events::ended`] said so.
    pub fn lost(&self) -> Lost {
        self.lost.get().cloned().unwrap_or(Lost::Closed)
    }
}

/// Owns the socket: writes commands, hands out replies in order and events as they come.
struct Driver {
    wire: Wire,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Bytes>,
    /// What is written and not yet answered: one command at most, and our own question for a sign of life (`None`).
    /// FreeSWITCH answers in order.
    waiting: VecDeque<Option<oneshot::Sender<Reply>>>,
    timing: Timing,
}

impl Driver {
    async fn run(mut self, end: &OnceLock<Lost>) {
        let reason = match self.drive().await {
            Ok(()) => return,
            Err(reason) => reason,
        };
        // Set before the queues close, so whoever sees them closed finds the reason.
        let _ = end.set(reason);
    }

    /// Until the connection is lost, or nobody holds its other ends.
    async fn drive(&mut self) -> Result<(), Lost> {
        let mut asked = false;
        let mut deadline = Instant::now() + self.timing.silence;
        loop {
            tokio::select! {
                // One at a time: what FreeSWITCH has not begun can still be taken back, and runs as soon as it is sent.
                command = self.commands.recv(), if self.waiting.is_empty() => match command {
                    Some(command) => self.write(command).await?,
                    None => return Ok(()),
                },
                read = self.wire.read() => {
                    read?;
                    asked = false;
                    deadline = Instant::now() + self.timing.silence;
                    while let Some(frame) = self.wire.decode()? {
                        self.deliver(frame).await?;
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    if asked {
                        return Err(Lost::Silent(self.timing.silence + self.timing.answer));
                    }
                    self.wire.send("api status", self.timing.answer).await?;
                    self.waiting.push_back(None);
                    asked = true;
                    deadline = Instant::now() + self.timing.answer;
                }
            }
        }
    }

    /// Writes a command, unless nobody waits for it any more or it may no longer be sent.
    async fn write(&mut self, command: Command) -> Result<(), Lost> {
        if command.is_abandoned() {
            return Ok(());
        }
        if command.permit.as_ref().is_some_and(|permit| !permit.holds()) {
            let _ = command.reply.send(Reply::NotPermitted);
            return Ok(());
        }
        self.wire.send(&command.line, self.timing.answer).await?;
        self.waiting.push_back(Some(command.reply));
        Ok(())
    }

    async fn deliver(&mut self, frame: Frame) -> Result<(), Lost> {
        match frame.kind {
            // A receiver that is gone only wants replies (the commands connection): its events have nowhere to go.
            Kind::EventJson => drop(self.events.send(frame.body).await),
            Kind::ApiResponse | Kind::CommandReply => match self.waiting.pop_front() {
                Some(Some(reply)) => drop(reply.send(Reply::Frame(frame))),
                Some(None) => {}
                None => return Err(Lost::Protocol("a reply to no command".to_owned())),
            },
            Kind::DisconnectNotice => {
                return Err(Lost::Notice(
                    String::from_utf8_lossy(&frame.body).trim().replace('\n', " "),
                ));
            }
            Kind::AuthRequest | Kind::RudeRejection | Kind::Other(_) => {}
        }
        Ok(())
    }
}

/// The socket with what was read of it and not yet used.
struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
    /// The last read filled the buffer.
    is_busy: bool,
    decoder: Decoder,
}

impl Wire {
    /// Reads once. Cancel-safe.
    async fn read(&mut self) -> Result<(), Lost> {
        self.buffer.reserve(if self.is_busy {
            BUSY_READ_BUFFER_BYTES
        } else {
            READ_BUFFER_BYTES / 4
        });
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Lost::Closed),
            Ok(_) => {
                self.is_busy = self.buffer.len() == self.buffer.capacity();
                Ok(())
            }
            Err(error) => Err(Lost::Io(error.to_string())),
        }
    }

    fn decode(&mut self) -> Result<Option<Frame>, Lost> {
        self.decoder
            .decode(&mut self.buffer)
            .map_err(|error: FrameError| Lost::Protocol(error.to_string()))
    }

    /// A peer that takes no bytes for so long is as dead as one that sends none.
    async fn send(&mut self, line: &str, limit: Duration) -> Result<(), Lost> {
        let bytes = format!("{line}\n\n");
        match timeout(limit, self.stream.write_all(bytes.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Lost::Io(error.to_string())),
            Err(_) => Err(Lost::Silent(limit)),
        }
    }

    async fn expect_frame(&mut self, limit: Duration, doing: &'static str) -> Result<Frame, ConnectError> {
        let frame = async {
            loop {
                if let Some(frame) = self
                    .decoder
                    .decode(&mut self.buffer)
                    .map_err(|e| ConnectError::Protocol(e.to_string()))?
                {
                    return Ok(frame);
                }
                self.read().await.map_err(|lost| match lost {
                    Lost::Io(reason) => ConnectError::Io(std::io::Error::other(reason)),
                    _ => ConnectError::Closed(doing),
                })?;
            }
        };
        timeout(limit, frame)
            .await
            .map_err(|_| ConnectError::Timeout(limit, doing))?
    }
}
