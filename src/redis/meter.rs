//! Checks the bytes from Redis before anything parses them: they must be replies of bounded size.
//!
//! The redis crate allocates as many values as a header announces, and collects a line or a string for as
//! long as it grows. So lengths are checked here, as soon as the header arrives.

/// The longest reply, and the most bytes in reply to one batch of commands. A gateway takes about 700
/// bytes, so this is enough for hundreds of thousands.
pub(crate) const MAX_REPLY_BYTES: usize = 256 * 1024 * 1024;
/// The most values in one reply. The redis crate uses about 50 bytes for each, however short it is.
const MAX_REPLY_VALUES: u64 = 4_000_000;
/// The longest line. Redis's longest lines are errors.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// How deeply lists may be nested. The replies to our commands need three levels.
const MAX_DEPTH: usize = 16;
/// The type byte, a sign and up to 19 digits.
const MAX_HEADER_BYTES: usize = 21;

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The peer speaks another protocol. Quotes at most one byte: the rest may be a password.
    #[error("it sent something that is not a Redis reply: {0}")]
    Nonsense(String),
    #[error("it sent a reply of {0}; the limit is {1}")]
    TooLarge(&'static str, String),
}

/// Follows a stream of RESP2 or RESP3 replies, in whatever pieces they arrive.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// For each unfinished list, how many values are missing.
    open: Vec<u64>,
    state: State,
    /// Size of the unfinished reply so far.
    reply_bytes: usize,
    values: u64,
    /// Bytes received since the last request.
    received_bytes: usize,
}

#[derive(Debug)]
enum State {
    /// In a line: its first bytes, its length so far, and its last byte.
    Line {
        begin: [u8; MAX_HEADER_BYTES],
        len: usize,
        last: u8,
    },
    /// In a string: the bytes still to come, including its line end.
    Text(usize),
}

impl Default for State {
    fn default() -> Self {
        Self::Line {
            begin: [0; MAX_HEADER_BYTES],
            len: 0,
            last: 0,
        }
    }
}

impl Meter {
    /// A request is sent, so a new reply may follow.
    pub(crate) fn start_request(&mut self) {
        self.received_bytes = 0;
    }

    /// Size of the unfinished reply so far.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Checks the next bytes of the stream.
    ///
    /// # Errors
    /// [`Refusal`]: the connection must not be read any further.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        self.received_bytes = self.received_bytes.saturating_add(bytes.len());
        if self.received_bytes > MAX_REPLY_BYTES {
            return Err(too_many_bytes());
        }
        while !bytes.is_empty() {
            let used = match &mut self.state {
                State::Text(missing) => {
                    let used = bytes.len().min(*missing);
                    *missing -= used;
                    let is_done = *missing == 0;
                    self.reply_bytes += used;
                    if is_done {
                        self.value_ended();
                    }
                    used
                }
                State::Line { .. } => self.take_line(bytes)?,
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Checks a line, or the part of it that arrived. Returns the length of that part.
    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let State::Line { begin, len, last } = &mut self.state else {
            return Ok(0);
        };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = &mut begin[(*len).min(MAX_HEADER_BYTES)..];
        let copied = room.len().min(part.len());
        room[..copied].copy_from_slice(&part[..copied]);
        *len += part.len();
        *last = part.last().copied().unwrap_or(*last);
        if let Some(first) = begin[..(*len).min(1)].first()
            && !b"+-:_,#($=!*~>%|".contains(first)
        {
            let byte = first.escape_ascii();
            return Err(Refusal::Nonsense(format!("it begins with the byte `{byte}`")));
        }
        if *len > MAX_LINE_BYTES {
            let problem = format!("a line is longer than {MAX_LINE_BYTES} bytes");
            return Err(Refusal::Nonsense(problem));
        }
        let Some(end) = end else {
            self.reply_bytes += bytes.len();
            return Ok(bytes.len());
        };
        if *last != b'\r' {
            return Err(Refusal::Nonsense("a line does not end with CR LF".to_owned()));
        }
        let (begin, len) = (*begin, *len - 1);
        self.reply_bytes += end + 1;
        self.line_ended(begin, len)?;
        Ok(end + 1)
    }

    fn line_ended(&mut self, begin: [u8; MAX_HEADER_BYTES], len: usize) -> Result<(), Refusal> {
        self.state = State::default();
        self.values += 1;
        let length = || {
            let digits = begin.get(1..len).filter(|_| len <= MAX_HEADER_BYTES);
            let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            let number = digits.and_then(|digits| digits.parse::<i64>().ok());
            number.ok_or_else(|| Refusal::Nonsense("a length is not a number".to_owned()))
        };
        let of_each = match begin[0] {
            b'$' | b'=' | b'!' => return self.text_begins(length()?),
            b'*' | b'~' | b'>' => 1,
            b'%' | b'|' => 2,
            _ => {
                self.value_ended();
                return Ok(());
            }
        };
        let items = match length()? {
            -1 => 0,
            length => u64::try_from(length).map_err(|_| negative())?,
        };
        // An attribute precedes the value that it describes.
        let items = items.saturating_mul(of_each) + u64::from(begin[0] == b'|');
        self.values = self.values.saturating_add(items);
        if self.values > MAX_REPLY_VALUES {
            return Err(Refusal::TooLarge("too many values", MAX_REPLY_VALUES.to_string()));
        }
        if items == 0 {
            self.value_ended();
        } else if self.open.len() == MAX_DEPTH {
            let problem = format!("lists are nested more than {MAX_DEPTH} deep");
            return Err(Refusal::Nonsense(problem));
        } else {
            self.open.push(items);
        }
        Ok(())
    }

    fn text_begins(&mut self, length: i64) -> Result<(), Refusal> {
        /// CR and LF.
        const LINE_END: usize = 2;
        if length == -1 {
            self.value_ended();
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| negative())?;
        if length > MAX_REPLY_BYTES - self.reply_bytes.min(MAX_REPLY_BYTES) {
            return Err(too_many_bytes());
        }
        self.state = State::Text(length + LINE_END);
        Ok(())
    }

    fn value_ended(&mut self) {
        self.state = State::default();
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.open.pop();
        }
        self.reply_bytes = 0;
        self.values = 0;
    }
}

fn negative() -> Refusal {
    Refusal::Nonsense("a length is negative".to_owned())
}

pub(crate) fn too_many_bytes() -> Refusal {
    Refusal::TooLarge("too many bytes", MAX_REPLY_BYTES.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const REPLIES: [&[u8]; 14] = [
        b"+OK\r\n",
        b"-NOPERM no\r\n",
        b":-42\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"$0\r\n\r\n",
        b"*0\r\n",
        b"*4\r\n$1\r\na\r\n$6\r\n$1\r\n*\n\r\n$1\r\nb\r\n$0\r\n\r\n",
        b"*2\r\n$1\r\n0\r\n*2\r\n$3\r\nk\r\n\r\n$1\r\n*\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n_\r\n",
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        b"|1\r\n+ttl\r\n:3600\r\n*1\r\n#t\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"!3\r\nERR\r\n",
    ];

    fn refused(bytes: &[u8]) -> String {
        Meter::default().take(bytes).unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn replies_pass_and_end_where_the_redis_crate_sees_their_end(replies in vec(0..REPLIES.len(), 0..8), pieces in vec(1..40usize, 0..40)) {
            let all: Vec<u8> = replies.iter().flat_map(|&reply| REPLIES[reply].iter().copied()).collect();
            let (mut meter, mut end) = (Meter::default(), 0);
            for piece in pieces.into_iter().chain([all.len()]) {
                let next = (end + piece).min(all.len());
                prop_assert_eq!(meter.take(&all[end..next]), Ok(()));
                end = next;
                let mut rest = &all[..end];
                for reply in replies.iter().map(|&reply| REPLIES[reply]) {
                    if rest.len() >= reply.len() {
                        prop_assert!(redis::parse_redis_value(reply).is_ok());
                        rest = &rest[reply.len()..];
                    }
                    else { break }
                }
                prop_assert_eq!(meter.unfinished_bytes(), rest.len());
            }
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'1'), Just(b'9'), Just(b'-'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..60)) {
            let _ = Meter::default().take(&bytes);
        }
    }

    #[test]
    fn bytes_that_are_not_a_reply_are_refused_and_not_quoted() {
        assert!(refused(b"HTTP/1.1 400\r\n").ends_with("it begins with the byte `H`"));
        assert!(refused(b"\x15\x03\x03").ends_with(r"it begins with the byte `\x15`"));
        for bytes in [&b"$x\r\n"[..], b"$\r\n", b"*1.5\r\n", b"$1111111111111111111111\r\n"] {
            assert!(
                refused(bytes).ends_with("a length is not a number"),
                "{}",
                bytes.escape_ascii()
            );
        }
        for bytes in [&b"$-2\r\n"[..], b"*-2\r\n", b"%-9\r\n"] {
            assert!(refused(bytes).ends_with("negative"), "{}", bytes.escape_ascii());
        }
        assert!(refused(b"+OK\n").contains("CR LF"));
        assert!(refused(&[b"+", &[b'a'; MAX_LINE_BYTES][..]].concat()).contains("longer than"));
        assert!(refused(&b"*1\r\n".repeat(MAX_DEPTH + 1)).contains("nested"));
    }

    #[test]
    fn an_oversized_length_is_refused_before_its_content_arrives() {
        for bytes in [
            &b"$9000000000000000000\r\n"[..],
            b"$268435457\r\n",
            b"*2\r\n$200000000\r\n",
        ] {
            let mut meter = Meter::default();
            let taken = meter.take(bytes);
            let more = taken.and_then(|()| {
                meter.take(&vec![b'a'; 200_000_000])?;
                meter.take(b"\r\n$100000000\r\n")
            });
            assert!(
                more.unwrap_err().to_string().contains("too many bytes"),
                "{}",
                bytes.escape_ascii()
            );
        }
        for bytes in [
            &b"*9000000000000000000\r\n"[..],
            b"%2000000\r\n",
            b"*4000000\r\n*4000000\r\n",
        ] {
            assert!(refused(bytes).contains("too many values"), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_replies_to_one_request_are_bounded_together() {
        let reply = [b"$16777216\r\n", &vec![b'a'; 16 * 1024 * 1024][..], b"\r\n"].concat();
        let mut meter = Meter::default();
        let taken = (0..20).find_map(|_| meter.take(&reply).err());
        assert_eq!(taken, Some(too_many_bytes()));
        let mut meter = Meter::default();
        for _ in 0..20 {
            assert_eq!(meter.take(&reply), Ok(()));
            meter.start_request();
        }
    }
}
