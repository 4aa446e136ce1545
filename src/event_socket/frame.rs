//! Frames: header lines, a blank line, then `Content-Length` bytes (FACTS 35).

use bytes::{Buf, Bytes, BytesMut};

/// The longest header block that is read; real ones are under 200 bytes.
const MAX_HEADERS_BYTES: usize = 64 * 1024;
/// The longest body that is read: `sofia xmlstatus gateway` of 100,000 gateways takes 93 MB (FACTS 21).
const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;

/// The longest event that is read. Real ones are under 1 KiB; a carrier's reason phrase, which UDP bounds, is in some.
/// One that is longer is passed over, so that no carrier can end the connection.
pub(super) const MAX_EVENT_BYTES: usize = 64 * 1024;

/// What a frame is, by its `Content-Type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
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
    pub(super) kind: Kind,
    /// The `Reply-Text` header: the answer of every command but `api`.
    pub(super) reply_text: Option<String>,
    pub(super) body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the headers of a frame are longer than {MAX_HEADERS_BYTES} bytes: this is not a FreeSWITCH event socket")]
    HeadersTooLong,
    #[error("a frame announces {0} bytes, more than the {MAX_BODY_BYTES} that are read")]
    BodyTooLong(usize),
    #[error("a frame has the Content-Length {0:?}, which is not a number")]
    BadLength(String),
}

/// Takes frames out of what has been read so far.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Headers that are already parsed, and the body length still to wait for.
    pending: Option<(Kind, Option<String>, usize)>,
    /// Where the search for the blank line goes on, so that a slow sender costs no second look at the same bytes.
    searched: usize,
}

impl Decoder {
    /// The next whole frame, or `None` until more bytes are there.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if self.pending.is_none() {
            // FreeSWITCH ends some bodies with a line feed that its length does not count.
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
            Some((kind, reply_text, length)) if buffer.len() >= length => {
                let body = buffer.split_to(length).freeze();
                Ok(Some(Frame { kind, reply_text, body }))
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

fn parse_headers(block: &[u8]) -> Result<(Kind, Option<String>, usize), FrameError> {
    let (mut kind, mut reply_text, mut length) = (Kind::Other(String::new()), None, 0);
    for line in block.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match name {
            "Content-Type" => {
                kind = match value {
                    "auth/request" => Kind::AuthRequest,
                    "command/reply" => Kind::CommandReply,
                    "api/response" => Kind::ApiResponse,
                    "text/event-json" => Kind::EventJson,
                    "text/disconnect-notice" => Kind::DisconnectNotice,
                    "text/rude-rejection" => Kind::RudeRejection,
                    other => Kind::Other(other.to_owned()),
                }
            }
            "Reply-Text" => reply_text = Some(value.to_owned()),
            "Content-Length" => {
                length = value.parse().map_err(|_| FrameError::BadLength(value.to_owned()))?;
                if length > MAX_BODY_BYTES {
                    return Err(FrameError::BodyTooLong(length));
                }
            }
            _ => {}
        }
    }
    Ok((kind, reply_text, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8], step: usize) -> Vec<Frame> {
        let (mut decoder, mut buffer, mut found) = (Decoder::default(), BytesMut::new(), Vec::new());
        for chunk in bytes.chunks(step) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                found.push(frame);
            }
        }
        assert!(
            buffer.iter().all(|&byte| byte == b'\n'),
            "left over: {:?}",
            String::from_utf8_lossy(&buffer)
        );
        found
    }

    #[test]
    fn every_recording_is_read_the_same_whole_and_byte_by_byte() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/event_socket");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let whole = frames(&bytes, bytes.len());
            // Some recordings hold a whole connection, the others the events of one alone.
            if bytes.starts_with(b"Content-Type: auth/request") {
                assert!(whole.len() > 2, "{}", path.display());
                assert_eq!(whole[0].kind, Kind::AuthRequest, "{}", path.display());
            } else {
                let events = whole.iter().all(|frame| frame.kind == Kind::EventJson);
                assert!(!whole.is_empty() && events, "{}", path.display());
            }
            assert_eq!(whole, frames(&bytes, 1), "{}", path.display());
        }
    }

    #[test]
    fn an_api_response_keeps_its_body_to_the_byte() {
        let found = frames(b"Content-Type: api/response\nContent-Length: 3\n\nvm\n\n", 7);
        assert_eq!(&found[0].body[..], b"vm\n");
    }

    #[test]
    fn a_length_that_is_no_number_or_too_large_is_refused() {
        for (length, reason) in [("x", "not a number"), ("999999999999", "more than")] {
            let mut buffer = BytesMut::from(format!("Content-Length: {length}\n\n").as_bytes());
            let error = Decoder::default().decode(&mut buffer).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn endless_headers_are_refused() {
        let mut buffer = BytesMut::from(&vec![b'x'; MAX_HEADERS_BYTES + 1][..]);
        assert!(matches!(
            Decoder::default().decode(&mut buffer),
            Err(FrameError::HeadersTooLong)
        ));
    }
}
