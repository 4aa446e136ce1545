//! A client of HTTP/1.1 that costs little: one connection, one request after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct HttpClient {
    connection: BufReader<TcpStream>,
    /// Header lines of every request.
    headers: String,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// From the first byte sent to the last one read.
    pub took: Duration,
}

impl HttpClient {
    pub fn new(address: SocketAddr, headers: &str) -> Self {
        let connection = TcpStream::connect(address).expect("it lets us in");
        connection.set_nodelay(true).expect("a socket");
        Self {
            connection: BufReader::with_capacity(64 * 1024, connection),
            headers: format!("Host: {address}\r\n{headers}"),
        }
    }

    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.headers,
            body.len()
        );
        let asked = Instant::now();
        self.connection
            .get_mut()
            .write_all(request.as_bytes())
            .expect("it reads");
        let (status, length) = self.head();
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).expect("the body is whole");
        Answer {
            status,
            body,
            took: asked.elapsed(),
        }
    }

    fn head(&mut self) -> (u16, usize) {
        let (mut status, mut length) = (0, None);
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line).expect("it answers");
            let line = line.trim_end();
            match line.split_once(": ") {
                None if line.is_empty() => return (status, length.expect("the length of the body")),
                None => {
                    status = line
                        .split(' ')
                        .nth(1)
                        .and_then(|code| code.parse().ok())
                        .unwrap_or_default()
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok(),
                Some(_) => {}
            }
        }
    }
}

impl Answer {
    pub fn json(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// As mod_xml_curl asks: on a connection of its own, up to its end.
pub fn ask_once(address: SocketAddr, request: &[u8]) -> Duration {
    let asked = Instant::now();
    let mut connection = TcpStream::connect(address).expect("it lets us in");
    connection.set_nodelay(true).expect("a socket");
    connection.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("it answers");
    let took = asked.elapsed();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    took
}
