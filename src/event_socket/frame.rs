//! Frames: header lines, a blank line, then `Content-Length` bytes (FACTS 35).

use bytes::{Buf, Bytes, BytesMut};

use crate::shown::shown;

/// The longest header block that is accepted. Real ones are under 200 bytes.
const MAX_HEADERS_BYTES: usize = 8 * 1024;
/// The longest reply that is accepted: `sofia xmlstatus gateway` takes 93 MB at 100,000 gateways (FACTS 21).
const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;
/// The longest event that is read. Real ones are under 1 KiB, but some contain a carrier's reason phrase.
pub(super) const MAX_EVENT_BYTES: usize = 64 * 1024;
/// A longer event is skipped up to this size, so that no carrier can end the connection: the SIP stack accepts messages
/// of 2 MiB, which JSON can turn into 12. Anything longer is not FreeSWITCH's.
const MAX_SKIPPED_BYTES: usize = 16 * 1024 * 1024;
/// The longest body of any other type. Real ones are under 1 KiB.
const MAX_SMALL_BYTES: usize = 64 * 1024;

/// The `Content-Type` of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContentType {
    AuthRequest,
    CommandReply,
    ApiResponse,
    EventJson,
    DisconnectNotice,
    RudeRejection,
    Other(String),
}

/// One frame. The body shares the read buffer's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) content_type: ContentType,
    /// The `Reply-Text` header: the reply to every command except `api`.
    pub(super) reply_text: Option<String>,
    pub(super) body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the headers of a frame are longer than {MAX_HEADERS_BYTES} bytes: this is not a FreeSWITCH event socket")]
    HeadersTooLong,
    #[error("a frame ({content_type}) announces {length} bytes, more than the {most} that are read")]
    BodyTooLong {
        content_type: String,
        length: usize,
        most: usize,
    },
    #[error("a frame has the Content-Length \"{0}\", which is not a number")]
    BadLength(String),
}

/// Splits what was read into frames.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The parsed headers of a frame whose body is not complete: type, reply text, body length.
    pending: Option<(ContentType, Option<String>, usize)>,
    /// Bytes of a too long event that are still to be skipped.
    skipped: usize,
    /// Where the search for the blank line continues, so that no byte is searched twice.
    searched: usize,
}

impl Decoder {
    /// The next whole frame, or `None` until more bytes are read. An event that is too long comes without its body.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let skipped = self.skipped.min(buffer.len());
        buffer.advance(skipped);
        self.skipped -= skipped;
        if self.skipped > 0 {
            return Ok(None);
        }
        if self.pending.is_none() {
            // FreeSWITCH ends some bodies with a line feed that is not in their length.
            while self.searched == 0 && buffer.first() == Some(&b'\n') {
                buffer.advance(1);
            }
            let from = self.searched.saturating_sub(1);
            let Some(end) = buffer[from..]
                .windows(2)
                .position(|pair| pair == b"\n\n")
                .map(|at| from + at)
            else {
                self.searched = buffer.len();
                return if buffer.len() > MAX_HEADERS_BYTES {
                    Err(FrameError::HeadersTooLong)
                } else {
                    Ok(None)
                };
            };
            self.searched = 0;
            let headers = buffer.split_to(end + 2);
            self.pending = Some(parse_headers(&headers[..end])?);
        }
        match self.pending.take() {
            Some((ContentType::EventJson, reply_text, length)) if length > MAX_EVENT_BYTES => {
                let skipped = length.min(buffer.len());
                buffer.advance(skipped);
                self.skipped = length - skipped;
                Ok(Some(Frame {
                    content_type: ContentType::EventJson,
                    reply_text,
                    body: Bytes::new(),
                }))
            }
            Some((content_type, reply_text, length)) if buffer.len() >= length => {
                let body = buffer.split_to(length).freeze();
                Ok(Some(Frame {
                    content_type,
                    reply_text,
                    body,
                }))
            }
            Some(pending) => {
                buffer.reserve(pending.2 - buffer.len());
                self.pending = Some(pending);
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

fn parse_headers(block: &[u8]) -> Result<(ContentType, Option<String>, usize), FrameError> {
    let (mut content_type, mut reply_text, mut length) = (ContentType::Other(String::new()), None, 0);
    for line in block.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match name {
            "Content-Type" => {
                content_type = match value {
                    "auth/request" => ContentType::AuthRequest,
                    "command/reply" => ContentType::CommandReply,
                    "api/response" => ContentType::ApiResponse,
                    "text/event-json" => ContentType::EventJson,
                    "text/disconnect-notice" => ContentType::DisconnectNotice,
                    "text/rude-rejection" => ContentType::RudeRejection,
                    other => ContentType::Other(other.to_owned()),
                }
            }
            "Reply-Text" => reply_text = Some(value.to_owned()),
            "Content-Length" => {
                let bad = |_| FrameError::BadLength(shown(value).to_string());
                length = value.parse().map_err(bad)?;
            }
            _ => {}
        }
    }
    let most = match content_type {
        ContentType::EventJson => MAX_SKIPPED_BYTES,
        ContentType::ApiResponse => MAX_BODY_BYTES,
        _ => MAX_SMALL_BYTES,
    };
    if length > most {
        let content_type = match content_type {
            ContentType::Other(text) => shown(&text).to_string(),
            known => format!("{known:?}"),
        };
        return Err(FrameError::BodyTooLong {
            content_type,
            length,
            most,
        });
    }
    Ok((content_type, reply_text, length))
}

#[cfg(test)]
mod tests;
