//! mod_event_socket: authentication, subscriptions, commands and the order in which a connection's thread gets to
//! things (`mod_event_socket.c`): commands that have arrived come before events that wait, and while one runs nothing
//! else of its connection does.
//!
//! Deliberately absent: `filter`, `log`, `linger`, `sendevent`, `userauth`, outbound sessions.

use super::api;
use super::bus::{Connection, Format};
use super::core::Shared;
use super::event::{NAMES, Origin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const GOODBYE: &str = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";
const RUDE: &str = "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n";
/// A silent client is dropped after this long
const AUTH_TIMEOUT: Duration = Duration::from_secs(25);
/// A peer that reads nothing holds up a notice no longer than this
const NOTICE_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two tries to take a port that isn't free yet
pub(super) const RETRY: Duration = Duration::from_millis(10);

/// Listens on the same port (any free one at first), with the listener there only while it should be.
pub(super) async fn listen(shared: Arc<Shared>) {
    let mut wanted = shared.listening.subscribe();
    loop {
        if !*wanted.borrow_and_update() {
            shared.close_listener();
        }
        if wanted.wait_for(|on| *on).await.is_err() {
            return;
        }
        let listener = shared.take_listener().await;
        shared.listens.send_replace(true);
        loop {
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                gone = wanted.wait_for(|on| !*on) => {
                    if gone.is_err() {
                        return;
                    }
                    break;
                }
                accepted = listener.accept() => {
                    if let Ok((stream, peer)) = accepted {
                        let _ = stream.set_nodelay(true);
                        let id = shared.with(|core| {
                            let id = core.bus.next_connection;
                            core.bus.next_connection += 1;
                            let mut connection = Connection::new(id, peer);
                            connection.stalled = core.stall_new;
                            core.bus.connections.insert(id, connection);
                            id
                        });
                        tokio::spawn(serve(Arc::clone(&shared), stream, id));
                    }
                }
            }
        }
    }
}

/// A listener on 127.0.0.1; the port can be reused immediately after it is closed.
pub(super) fn bind(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(128)
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream, id: u64) {
    let Some(cut) = shared.with(|core| core.bus.connections.get(&id).map(|connection| connection.cut.clone())) else {
        return;
    };
    let farewell = tokio::select! {
        () = cut.cancelled() => None,
        () = shared.stop.cancelled() => None,
        farewell = talk(&shared, &mut stream, id) => farewell,
    };
    if let Some(farewell) = farewell {
        let notice = format!(
            "Content-Type: text/disconnect-notice\nContent-Length: {}\n\n{farewell}",
            farewell.len()
        );
        let _ = tokio::time::timeout(NOTICE_TIMEOUT, stream.write_all(notice.as_bytes())).await;
        let _ = stream.shutdown().await;
    }
    shared.with(|core| {
        if let Some(mut connection) = core.bus.connections.remove(&id) {
            connection.record.open = false;
            core.bus.past_connections.push(connection.record);
        }
    });
}

/// What a connection's thread does until its end. The notice to send then, None where the peer is gone.
async fn talk(shared: &Arc<Shared>, stream: &mut TcpStream, id: u64) -> Option<&'static str> {
    let wake = shared.with(|core| {
        core.bus
            .connections
            .get(&id)
            .map(|connection| Arc::clone(&connection.wake))
    })?;
    not_stalled(shared, id, &wake).await;
    if shared.with(|core| core.rude) {
        stream.write_all(RUDE.as_bytes()).await.ok()?;
        return Some(GOODBYE);
    }
    stream.write_all(b"Content-Type: auth/request\n\n").await.ok()?;
    let auth_deadline = tokio::time::Instant::now() + AUTH_TIMEOUT;
    let mut spoken = false;
    let mut buffer: Vec<u8> = Vec::new();
    let mut bytes = vec![0u8; 16 * 1024];
    let mut arrived = Instant::now();
    loop {
        // What has arrived is read before anything is sent; the yield lets the runtime see that it has.
        tokio::task::yield_now().await;
        not_stalled(shared, id, &wake).await;
        match stream.try_read(&mut bytes) {
            Ok(0) => return None,
            Ok(read) => {
                arrived = Instant::now();
                buffer.extend_from_slice(&bytes[..read]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        if let Some(packet) = take_packet(&mut buffer) {
            spoken = true;
            let reply = command(shared, id, &packet, arrived).await;
            not_stalled(shared, id, &wake).await;
            stream.write_all(reply.bytes.as_bytes()).await.ok()?;
            if reply.ends {
                return Some(GOODBYE);
            }
            continue;
        }
        // Half a command holds up the events too.
        if buffer.is_empty() {
            let (frames, farewell) = shared.with(|core| match core.bus.connections.get_mut(&id) {
                Some(connection) => {
                    connection.writing = !connection.queue.is_empty();
                    (std::mem::take(&mut connection.queue), connection.farewell)
                }
                None => Default::default(),
            });
            if !frames.is_empty() {
                for frame in frames {
                    not_stalled(shared, id, &wake).await;
                    stream.write_all(&frame).await.ok()?;
                }
                shared.with(|core| {
                    if let Some(connection) = core.bus.connections.get_mut(&id) {
                        connection.writing = false;
                    }
                });
                continue;
            }
            if farewell.is_some() {
                return farewell;
            }
        }
        tokio::select! {
            biased;
            ready = stream.readable() => ready.ok()?,
            () = wake.notified() => {}
            () = tokio::time::sleep_until(auth_deadline), if !spoken => return Some(GOODBYE),
        }
    }
}

async fn not_stalled(shared: &Shared, id: u64, wake: &tokio::sync::Notify) {
    while shared.read(|core| {
        core.bus
            .connections
            .get(&id)
            .is_some_and(|connection| connection.stalled)
    }) {
        wake.notified().await;
    }
}

/// A command line and its headers, up to an empty line. Line ends before it are passed over.
fn take_packet(buffer: &mut Vec<u8>) -> Option<Packet> {
    let start = buffer
        .iter()
        .position(|c| !matches!(c, b'\r' | b'\n'))
        .unwrap_or(buffer.len());
    buffer.drain(..start);
    let (mut newlines, mut end) = (0, None);
    for (at, c) in buffer.iter().enumerate() {
        match c {
            b'\n' => newlines += 1,
            b'\r' => {}
            _ => newlines = 0,
        }
        if newlines == 2 {
            end = Some(at + 1);
            break;
        }
    }
    let end = end?;
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = text.lines();
    let command = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim_start_matches(' ').to_owned()))
        .collect();
    let body_len: usize = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    if buffer.len() < end + body_len {
        return None;
    }
    buffer.drain(..end + body_len);
    Some(Packet { command, headers })
}

struct Packet {
    command: String,
    headers: Vec<(String, String)>,
}

struct Reply {
    bytes: String,
    ends: bool,
}

fn reply(text: &str) -> Reply {
    Reply {
        bytes: format!("Content-Type: command/reply\nReply-Text: {text}\n\n"),
        ends: false,
    }
}

/// `parse_command`
async fn command(shared: &Arc<Shared>, id: u64, packet: &Packet, arrived: Instant) -> Reply {
    let line = packet.command.as_str();
    let (authenticated, password) = shared.with(|core| {
        let connection = core.bus.connections.get_mut(&id);
        let authenticated = connection.is_some_and(|connection| {
            connection.record.commands.push(line.to_owned());
            connection.record.arrivals.push(arrived);
            connection.record.authenticated
        });
        (authenticated, core.password.clone())
    });
    if starts(line, "exit") || line.starts_with("...") {
        return Reply {
            ends: true,
            ..reply("+OK bye")
        };
    }
    if !authenticated {
        return match after(line, "auth ") {
            Some(given) if given == password => {
                shared.with(|core| {
                    if let Some(connection) = core.bus.connections.get_mut(&id) {
                        connection.record.authenticated = true;
                    }
                });
                reply("+OK accepted")
            }
            Some(_) => Reply {
                ends: true,
                ..reply("-ERR invalid")
            },
            None => reply("-ERR command not found"),
        };
    }
    if let Some(command) = after(line, "api ") {
        shared.command_delay().await;
        let text = match api::execute(shared, command).await {
            text if text.is_empty() => "-ERR no reply\n".to_owned(),
            text => text,
        };
        return Reply {
            bytes: format!("Content-Type: api/response\nContent-Length: {}\n\n{text}", text.len()),
            ends: false,
        };
    }
    if let Some(command) = after(line, "bgapi ") {
        let given = packet
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("job-uuid"));
        let uuid = given.map_or_else(super::bus::new_uuid, |(_, value)| value.clone());
        tokio::spawn(background(Arc::clone(shared), command.to_owned(), uuid.clone()));
        return Reply {
            bytes: format!("Content-Type: command/reply\nReply-Text: +OK Job-UUID: {uuid}\nJob-UUID: {uuid}\n\n"),
            ends: false,
        };
    }
    if starts(line, "event") {
        return reply(&with_connection(shared, id, |connection| subscribe(connection, line)));
    }
    if starts(line, "nixevent") {
        return reply(&with_connection(shared, id, |connection| unsubscribe(connection, line)));
    }
    if starts(line, "noevents") {
        return reply(&with_connection(shared, id, |connection| {
            connection.queue.clear();
            if !connection.listening {
                return "-ERR not listening for events".to_owned();
            }
            connection.listening = false;
            connection.all = false;
            connection.names.clear();
            connection.subclasses.clear();
            "+OK no longer listening for events".to_owned()
        }));
    }
    reply("-ERR command not found")
}

fn with_connection(shared: &Shared, id: u64, change: impl FnOnce(&mut Connection) -> String) -> String {
    shared.with(|core| core.bus.connections.get_mut(&id).map(change).unwrap_or_default())
}

fn subscribe(connection: &mut Connection, line: &str) -> String {
    let (mut keys, mut custom) = (0, false);
    for (count, word) in words(line).enumerate() {
        if count == 0 {
            match word.to_ascii_lowercase().as_str() {
                "plain" | "xml" => {
                    connection.format = Format::Plain; // XML is not modelled
                    continue;
                }
                "json" => {
                    connection.format = Format::Json;
                    continue;
                }
                _ => {}
            }
        }
        if custom {
            connection.subclasses.insert(word.to_owned()); // FACTS 34: whatever stands after CUSTOM
        } else if word.eq_ignore_ascii_case("ALL") {
            keys += 1;
            connection.all = true;
        } else if let Some(name) = event_name(word) {
            keys += 1;
            connection.names.insert(name);
            custom = name == "CUSTOM";
        }
    }
    if keys == 0 {
        return "-ERR no keywords supplied".to_owned();
    }
    connection.listening = true;
    format!("+OK event listener enabled {}", connection.format.name())
}

fn unsubscribe(connection: &mut Connection, line: &str) -> String {
    let (mut keys, mut custom) = (0, false);
    for word in words(line) {
        if custom {
            connection.subclasses.remove(word);
        } else if word.eq_ignore_ascii_case("ALL") {
            keys += 1;
            connection.all = false;
            connection.names.clear();
        } else if let Some(name) = event_name(word) {
            keys += 1;
            custom = name == "CUSTOM";
            if !custom {
                if std::mem::take(&mut connection.all) {
                    connection.names.extend(NAMES);
                }
                connection.names.remove(name);
            }
        }
    }
    if keys == 0 {
        return "-ERR no keywords supplied".to_owned();
    }
    connection.listening = true;
    "+OK events nixed".to_owned()
}

/// The words after the first
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').skip(1).filter(|word| !word.is_empty())
}

fn event_name(word: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|name| name.eq_ignore_ascii_case(word))
}

/// `api_exec` in a thread of its own
async fn background(shared: Arc<Shared>, line: String, uuid: String) {
    shared.command_delay().await;
    let body = api::execute(&shared, &line).await;
    let (command, argument) = match line.split_once(' ') {
        Some((command, argument)) => (command, Some(argument)),
        None => (line.as_str(), None),
    };
    shared.with(|core| {
        let origin = Origin("mod_event_socket.c", "api_exec", 1580);
        let mut event = core
            .bus
            .create("BACKGROUND_JOB", None, origin)
            .with("Job-UUID", uuid)
            .with("Job-Command", command);
        if let Some(argument) = argument {
            event = event.with("Job-Command-Arg", argument);
        }
        event.body = Some(body);
        core.bus.fire(event);
    });
}

fn starts(line: &str, word: &str) -> bool {
    after(line, word).is_some()
}

/// What follows a prefix in any case
fn after<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    let head = line.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &line[prefix.len()..])
}
