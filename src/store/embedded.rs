//! The embedded Redis: a private `redis-server` child on a Unix socket under the data directory, its append-only file on.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

/// In the data directory.
const FOLDER: &str = "redis";
/// Loading a large append-only file takes a while; a server that answers LOADING counts as started.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the server may take to write its file and go.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// The longest path that a Unix socket can have, its closing NUL left out.
const SOCKET_PATH_MOST: usize = 107;
/// A shell's exit status for a command that is not there.
const NOT_FOUND_BY_SHELL: i32 = 127;
/// Stands between us and the server: when we are gone, however that came, its standard input ends and the server is told to go.
const GUARD: &str = r#""$@" </dev/null & pid=$!
trap 'kill "$pid" 2>/dev/null' TERM INT
{ cat >/dev/null; kill "$pid" 2>/dev/null; } <&3 &
watcher=$!
wait "$pid"; status=$?
kill "$watcher" 2>/dev/null
exit "$status""#;

/// A running server; it stops when this is dropped, and when the process dies.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
    folder: PathBuf,
    /// Held as long as the server may run, so that no second one works on the same files.
    _lock: File,
}

#[derive(Debug)]
struct Server {
    guard: Child,
    /// The guard's input: the server ends when this does.
    lifeline: Option<ChildStdin>,
}

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "redis-server is not installed, and redis.embedded needs it: install it (Debian: `apt-get install redis-server`), or set redis.url to a Redis of yours"
    )]
    NotInstalled,
    #[error("another trunkd uses the data directory {0}: stop it, or give this one a data_dir of its own")]
    Taken(PathBuf),
    #[error("data_dir {path}: {source}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(
        "the path of the embedded Redis's socket, {0}, is longer than the {SOCKET_PATH_MOST} bytes that a socket's may have: choose a shorter data_dir"
    )]
    PathTooLong(PathBuf),
    #[error("redis-server did not start: {0}")]
    Start(String),
}

impl Embedded {
    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// [`EmbeddedError`]; each names what to do.
    pub async fn start(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let folder = data_dir.join(FOLDER);
        let at = |source| EmbeddedError::DataDir {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(at)?;
        let folder = folder.canonicalize().map_err(at)?;
        let lock = File::create(data_dir.join("lock")).map_err(at)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EmbeddedError::Taken(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(at(source)),
        }
        let socket = socket(&folder);
        if socket.as_os_str().len() > SOCKET_PATH_MOST {
            return Err(EmbeddedError::PathTooLong(socket));
        }
        let server = spawn(&folder).await?;
        Ok(Self {
            server,
            folder,
            _lock: lock,
        })
    }

    /// Where the server of a data directory listens, whoever runs it.
    pub fn connection(data_dir: &Path) -> ConnectionInfo {
        connection(&Self::socket(data_dir))
    }

    /// Its socket, for `redis-cli -s`.
    pub fn socket(data_dir: &Path) -> PathBuf {
        socket(&data_dir.join(FOLDER))
    }

    /// Until `stop`: starts the server again whenever it ends by itself. Then stops it.
    pub async fn supervise(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            tokio::select! {
                status = self.server.guard.wait() => {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    tracing::error!("the embedded Redis ended ({status}); starting it again");
                }
                () = stop.cancelled() => break,
            }
            while !stop.is_cancelled() {
                sleep(backoff.delay()).await;
                match spawn(&self.folder).await {
                    Ok(server) => {
                        self.server = server;
                        backoff.reset();
                        break;
                    }
                    Err(error) => tracing::error!("{error}"),
                }
            }
        }
        // The guard passes the end of its input on to the server.
        drop(self.server.lifeline.take());
        if tokio::time::timeout(STOP_LIMIT, self.server.guard.wait())
            .await
            .is_err()
        {
            tracing::warn!("the embedded Redis did not stop in time");
        }
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("redis.sock")
}

fn connection(socket: &Path) -> ConnectionInfo {
    // A path always makes a connection info.
    ConnectionAddr::Unix(socket.to_owned())
        .into_connection_info()
        .unwrap_or_else(|error| unreachable!("{error}"))
}

async fn spawn(folder: &Path) -> Result<Server, EmbeddedError> {
    let start = |error: &dyn std::fmt::Display| EmbeddedError::Start(error.to_string());
    let log = folder.join("redis.log");
    let mut guard = Command::new("sh")
        .args(["-c", &format!("exec 3<&0\n{GUARD}"), "redis-guard"])
        .arg("redis-server")
        .args([
            "--port",
            "0",
            "--unixsocketperm",
            "700",
            "--daemonize",
            "no",
            "--appendonly",
            "yes",
            "--save",
            "",
        ])
        .arg("--unixsocket")
        .arg(socket(folder))
        .arg("--dir")
        .arg(folder)
        .arg("--logfile")
        .arg(&log)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C at the terminal is ours to handle: we stop the server when the last event is written.
        .process_group(0)
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| start(&error))?;
    // Taken out, since waiting for a child closes its input.
    let lifeline = guard.stdin.take();
    let client = redis::Client::open(connection(&socket(folder))).map_err(|error| start(&error))?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let answered = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("PING").exec_async(&mut connection).await
        };
        match answered.await {
            Ok(()) => return Ok(Server { guard, lifeline }),
            Err(error) if error.code() == Some("LOADING") => return Ok(Server { guard, lifeline }),
            Err(_) => {}
        }
        if let Ok(Some(status)) = guard.try_wait() {
            if status.code() == Some(NOT_FOUND_BY_SHELL) {
                return Err(EmbeddedError::NotInstalled);
            }
            return Err(EmbeddedError::Start(format!(
                "it ended at once ({status}); see {}",
                log.display()
            )));
        }
        if Instant::now() > deadline {
            return Err(EmbeddedError::Start(format!(
                "no answer within {START_LIMIT:?}; see {}",
                log.display()
            )));
        }
        sleep(Duration::from_millis(20)).await;
    }
}
