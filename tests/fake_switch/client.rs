//! A client of the event socket, and how what it got compares with a recording.

use crate::AS_RECORDED;
use crate::recording;
use crate::support::fake_switch::FakeSwitch;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client of the event socket that keeps every byte.
pub(crate) struct Client<'a> {
    pub(crate) switch: &'a FakeSwitch,
    pub(crate) stream: TcpStream,
    pub(crate) received: Vec<u8>,
}

impl<'a> Client<'a> {
    pub(crate) async fn connect(switch: &'a FakeSwitch) -> Self {
        let stream = TcpStream::connect(switch.address()).await.unwrap();
        let mut client = Client {
            switch,
            stream,
            received: Vec::new(),
        };
        client.until_frames(1).await;
        client
    }

    /// Logged in, with the subscription of the recordings
    pub(crate) async fn listening(switch: &'a FakeSwitch) -> Self {
        let mut client = Client::connect(switch).await;
        client.say("auth ClueCon").await;
        client.say(AS_RECORDED).await;
        client
    }

    pub(crate) async fn send(&mut self, command: &str) {
        self.stream
            .write_all(format!("{command}\n\n").as_bytes())
            .await
            .unwrap();
    }

    /// Sends a command and reads up to its reply; whatever it fired is on its way too before this returns.
    pub(crate) async fn say(&mut self, command: &str) -> Frame {
        let replies = self.replies();
        self.send(command).await;
        while self.replies() == replies {
            self.read_some().await;
        }
        self.switch.wait_for_delivery().await;
        frames(&self.received).into_iter().rfind(Frame::is_reply).unwrap()
    }

    pub(crate) async fn until_frames(&mut self, n: usize) {
        while frames(&self.received).len() < n {
            self.read_some().await;
        }
    }

    pub(crate) fn replies(&self) -> usize {
        frames(&self.received).iter().filter(|frame| frame.is_reply()).count()
    }

    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let frames = frames(&self.received);
        let bodies = frames.iter().filter(|frame| frame.is_event());
        bodies.map(|frame| serde_json::from_str(&frame.body).unwrap()).collect()
    }

    pub(crate) async fn read_some(&mut self) {
        let mut bytes = vec![0; 64 * 1024];
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut bytes)).await;
        let read = read.expect("bytes from the event socket in 20 s").unwrap();
        assert!(read > 0, "the event socket closed the connection");
        self.received.extend_from_slice(&bytes[..read]);
    }

    /// Seconds pass; whatever they fire is on its way before this returns.
    pub(crate) async fn steps(&self, n: usize) {
        for _ in 0..n {
            self.switch.step();
            self.switch.wait_for_delivery().await;
        }
    }

    /// Everything to the end of the connection
    pub(crate) async fn rest(mut self) -> Vec<Frame> {
        let read = self.stream.read_to_end(&mut self.received);
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("the end of the connection in 20 s")
            .unwrap();
        frames(&self.received)
    }

    /// Cuts the connection; everything that was sent.
    pub(crate) async fn cut(self) -> Vec<Frame> {
        self.switch.wait_for_delivery().await;
        self.switch.drop_connections();
        self.rest().await
    }
}

/// A message of the event socket, its length already checked
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Frame {
    pub(crate) fn is_reply(&self) -> bool {
        self.head.contains("command/reply") || self.head.contains("api/response")
    }

    pub(crate) fn is_event(&self) -> bool {
        self.head.contains("text/event-")
    }

    /// Without what must differ between two runs: times, sequence numbers, UUIDs, and so an event's length.
    pub(crate) fn normalised(&self) -> Self {
        const VOLATILE: [&str; 8] = [
            "Core-UUID",
            "Event-Date-Local",
            "Event-Date-GMT",
            "Event-Date-Timestamp",
            "Event-Sequence",
            "Up-Time",
            "Uptime-msec",
            "Idle-CPU",
        ];
        let mut body = self.body.clone();
        let mut head = self.head.clone();
        for name in VOLATILE {
            body = blank(&body, &format!("\"{name}\":\""), '"');
            body = blank(&body, &format!("{name}: "), '\n');
        }
        for prefix in ["\"Job-UUID\":\"", "Job-UUID: "] {
            body = blank(&body, prefix, if prefix.starts_with('"') { '"' } else { '\n' });
            head = blank(&head, prefix, '\n');
        }
        if body.starts_with("UP ") {
            body = blank(&body, "UP ", '\n');
            body = blank(&body, "min idle cpu ", '\n');
        }
        if self.is_event() || body.starts_with("UP ") {
            head = blank(&head, "Content-Length: ", '\n');
        }
        Frame { head, body }
    }

    pub(crate) fn sequence(&self) -> Option<u64> {
        let at = self.body.find("Event-Sequence")? + "Event-Sequence".len();
        let digits = self.body[at..].trim_start_matches(['"', ':', ' ']);
        digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
    }
}

/// Replaces the text between each `prefix` and the next `end` with a star.
pub(crate) fn blank(text: &str, prefix: &str, end: char) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        let value = at + prefix.len();
        out += &rest[..value];
        out.push('*');
        rest = &rest[value + rest[value..].find(end).unwrap_or(rest.len() - value)..];
    }
    out + rest
}

/// The whole messages at the front of these bytes
pub(crate) fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|window| window == b"\n\n") {
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let Some(body) = rest.get(end + 2..end + 2 + length) else {
            break;
        };
        frames.push(Frame {
            head,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        rest = &rest[end + 2 + length..];
    }
    frames
}

/// Message by message, the same bytes but for what must differ; and sequence numbers that rise where the recorded do.
#[track_caller]
pub(crate) fn assert_as_recorded(got: &[Frame], name: &str) {
    let recorded = frames(recording(&format!("event_socket/{name}.txt")).as_bytes());
    for (at, (got, recorded)) in got.iter().zip(&recorded).enumerate() {
        assert_eq!(got.normalised(), recorded.normalised(), "message {at} of {name}");
    }
    assert_eq!(
        got.len(),
        recorded.len(),
        "messages of {name}; got last: {:?}",
        got.last()
    );
    let rises = |frames: &[Frame]| -> Vec<bool> {
        let sequences: Vec<u64> = frames.iter().filter_map(Frame::sequence).collect();
        sequences.windows(2).map(|pair| pair[0] < pair[1]).collect()
    };
    assert_eq!(
        rises(got),
        rises(&recorded),
        "the order of the sequence numbers of {name}"
    );
}

/// fs_cli put a line end after each reply.
#[track_caller]
pub(crate) fn assert_api_as_recorded(reply: &str, name: &str) {
    let mut recorded = recording(&format!("api/{name}.txt"));
    assert_eq!(recorded.pop(), Some('\n'));
    assert_reply_as_recorded(reply, &recorded, name);
}

/// On the second day replies were recorded as they came.
#[track_caller]
pub(crate) fn assert_api_of_second_day(reply: &str, name: &str) {
    assert_reply_as_recorded(reply, &recording(&format!("api/{name}.txt")), name);
}

#[track_caller]
fn assert_reply_as_recorded(reply: &str, recorded: &str, name: &str) {
    let line = |line: &str| match line {
        line if line.starts_with("    <uptime-usec>") => "    <uptime-usec>*</uptime-usec>\n".to_owned(),
        line if line.starts_with("    <ping>") && !line.contains(">0<") => "    <ping>*</ping>\n".to_owned(),
        line if line.starts_with("UP ") => "UP *\n".to_owned(),
        line if line.starts_with("min idle cpu ") => "min idle cpu *\n".to_owned(),
        line => format!("{line}\n"),
    };
    let normalised = |text: &str| -> String { text.lines().map(line).collect() };
    assert_eq!(normalised(reply), normalised(recorded), "{name}");
    assert_eq!(
        reply.ends_with('\n'),
        recorded.ends_with('\n'),
        "{name}: the end of the reply"
    );
}
