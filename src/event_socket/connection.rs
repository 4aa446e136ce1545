//! Opens a connection: TCP, then authentication.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::client::{Client, Events};
use super::driver::Driver;
use super::error::{ConnectError, Lost};
use super::frame::ContentType;
use super::frame_stream::FrameStream;
use super::timing::Timing;

/// Events that may wait for the reader before the socket is held back: 32 MiB of the longest. The
/// reader never waits for Redis, so this only bridges a scheduling gap.
const EVENT_QUEUE: usize = 512;
/// Commands that may wait to be written.
const COMMAND_QUEUE: usize = 256;

/// Opens a connection to `address` (`host:port`) and authenticates.
///
/// # Errors
/// [`ConnectError`]: each kind says what to do about it.
pub async fn connect(address: &str, password: &SecretString, timing: Timing) -> Result<(Client, Events), ConnectError> {
    let socket = timeout(timing.connect, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::Timeout(timing.connect, "connecting"))??;
    socket.set_nodelay(true)?;
    let mut stream = FrameStream::new(socket);
    authenticate(&mut stream, password, timing.connect).await?;

    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (event_sender, queue) = mpsc::channel(EVENT_QUEUE);
    let lost = Arc::new(OnceLock::new());
    let driver = Driver::new(stream, command_queue, event_sender, timing);
    let (reason, pulse) = (lost.clone(), driver.pulse.clone());
    tokio::spawn(async move { driver.run(&reason).await });
    Ok((Client { commands, pulse }, Events { queue, lost }))
}

async fn authenticate(
    stream: &mut FrameStream<TcpStream>,
    password: &SecretString,
    limit: Duration,
) -> Result<(), ConnectError> {
    const STEP: &str = "authenticating";
    let greeting = stream.expect_frame(limit, "waiting for the greeting").await?;
    match greeting.content_type {
        ContentType::AuthRequest => {}
        ContentType::RudeRejection => return Err(ConnectError::AccessDenied),
        other => return Err(ConnectError::Protocol(format!("it greeted with {other:?}"))),
    }
    // A line feed would end the command and start another one.
    if password.expose_secret().contains(['\n', '\r']) {
        return Err(ConnectError::BadPassword);
    }
    let auth = SecretString::from(format!("auth {}", password.expose_secret()));
    stream
        .send(auth.expose_secret(), limit)
        .await
        .map_err(|lost| match lost {
            Lost::Silent(limit) => ConnectError::Timeout(limit, STEP),
            lost => ConnectError::Io(std::io::Error::other(lost.to_string())),
        })?;
    let answer = stream.expect_frame(limit, STEP).await?;
    match answer.reply_text.as_deref() {
        Some(text) if text.starts_with("+OK") => Ok(()),
        Some(text) if text.starts_with("-ERR") => Err(ConnectError::BadPassword),
        other => Err(ConnectError::Protocol(format!(
            "it answered the password with {other:?}"
        ))),
    }
}
