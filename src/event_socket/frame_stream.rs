//! A socket that is read frame by frame.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::error::{ConnectError, Lost};
use super::frame::{Decoder, Frame, FrameError};

/// Small enough for a quiet switch; grows by itself for long replies.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// While more arrives than that holds.
const BUSY_READ_BUFFER_BYTES: usize = 64 * 1024;

/// The socket, and what was read from it but not decoded yet.
pub(super) struct FrameStream<S> {
    socket: S,
    buffer: BytesMut,
    /// The last read filled the buffer.
    is_busy: bool,
    decoder: Decoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameStream<S> {
    pub(super) fn new(socket: S) -> Self {
        Self {
            socket,
            buffer: BytesMut::with_capacity(READ_BUFFER_BYTES),
            is_busy: false,
            decoder: Decoder::default(),
        }
    }

    /// Reads once. Cancel-safe.
    pub(super) async fn read(&mut self) -> Result<(), Lost> {
        self.buffer.reserve(match self.is_busy {
            true => BUSY_READ_BUFFER_BYTES,
            false => READ_BUFFER_BYTES / 4,
        });
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Lost::Closed),
            Ok(_) => {
                self.is_busy = self.buffer.len() == self.buffer.capacity();
                Ok(())
            }
            Err(error) => Err(Lost::Io(error.to_string())),
        }
    }

    /// The next whole frame of what was read.
    pub(super) fn decode(&mut self) -> Result<Option<Frame>, FrameError> {
        self.decoder.decode(&mut self.buffer)
    }

    /// Writes a command. A peer that takes no bytes for `limit` is as dead as one that sends none.
    pub(super) async fn send(&mut self, line: &str, limit: Duration) -> Result<(), Lost> {
        let bytes = format!("{line}\n\n");
        match timeout(limit, self.socket.write_all(bytes.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Lost::Io(error.to_string())),
            Err(_) => Err(Lost::Silent(limit)),
        }
    }

    /// Waits for a frame during authentication; `step` is for the error.
    pub(super) async fn expect_frame(&mut self, limit: Duration, step: &'static str) -> Result<Frame, ConnectError> {
        let frame = async {
            loop {
                let decoded = self
                    .decode()
                    .map_err(|error| ConnectError::Protocol(error.to_string()))?;
                if let Some(frame) = decoded {
                    return Ok(frame);
                }
                self.read().await.map_err(|lost| match lost {
                    Lost::Io(reason) => ConnectError::Io(std::io::Error::other(reason)),
                    _ => ConnectError::Closed(step),
                })?;
            }
        };
        timeout(limit, frame)
            .await
            .map_err(|_| ConnectError::Timeout(limit, step))?
    }
}
