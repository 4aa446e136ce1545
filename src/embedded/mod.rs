//! The embedded Redis: a private `redis-server` child on a Unix socket under the data directory, its append-only file on.
//!
//! Two locks keep two servers off one append-only file: that of the data directory keeps a second trunkd out, and the server's side
//! holds `redis/server.lock` for as long as any of it lives, also beyond the death of the trunkd that started it: the next server waits for that.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use redis::{ConnectionAddr, ConnectionInfo, InfoDict, IntoConnectionInfo, RedisError};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::data_dir::{DataDir, free_lock};

/// In the data directory.
const FOLDER: &str = "redis";
/// In that folder: the lock of the server's side.
const LOCK: &str = "server.lock";
/// From the start of the server to its first answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// From there until its append-only file is read: gigabytes take minutes on a slow disk, and to give up would only begin it anew.
const LOAD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long the server of an earlier trunkd may take to go: much more than [`GUARD`] gives it.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(5);
/// The same for our own: the guard's second, and what killing takes.
const END_LIMIT: Duration = Duration::from_millis(1300);
/// For one answer; one that takes longer counts as none.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often a running server is asked whether it answers, and how soon again when it did not.
const ASK_INTERVAL: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A server that missed so many questions in a row is started again. It answers also while it is busy with a script.
const MISSED_MOST: u32 = 3;
/// Between two looks at something that takes milliseconds.
const GLANCE: Duration = Duration::from_millis(20);
/// The longest path that a Unix socket can have, its closing NUL left out.
const SOCKET_PATH_MOST: usize = 107;
/// A shell's exit status for a command that is not there.
const NOT_FOUND_BY_SHELL: i32 = 127;
/// Stands between us and the server: when we are gone, however that came, its standard input ends, and the whole process group is told to go and, a
/// second later, killed. A server that is killed then loses nothing that it has answered: the kernel has it. Standard error is the lock of the
/// server's side; the guard and the server inherit it, the watcher with its `cat` and `sleep` may outlive them and must not. SIGHUP is what the kernel
/// sends the group when we die while one of it is stopped.
const GUARD: &str = r#"umask 077
exec 3<&0
"$@" </dev/null >/dev/null 3<&- & pid=$!
trap '' HUP INT TERM
{ cat; kill -TERM 0; sleep 1; kill -KILL 0; } <&3 >/dev/null 2>&1 3<&- & watcher=$!
exec 3<&-
echo "$pid"
wait "$pid"; status=$?
kill -KILL "$watcher"
exit "$status""#;

/// A running server; it stops when this is dropped, and when the process dies.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
}

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "redis-server is not installed, and redis.embedded needs it: install it (Debian: `apt-get install redis-server`), or set redis.url to a Redis of yours"
    )]
    NotInstalled,
    #[error(
        "the redis-server of an earlier trunkd still works in {0} and does not end: end it (`fuser {0}/{LOCK}` tells its process), then start again"
    )]
    StillRuns(PathBuf),
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
    /// How long [`Embedded::supervise`] takes to stop the server, at most.
    pub const STOP_LIMIT: Duration = Duration::from_millis(1500);

    /// Starts the server and waits until it answers and has read its append-only file. The folder is made for this user alone: gateways hold passwords.
    ///
    /// # Errors
    /// [`EmbeddedError`]; each names what to do.
    pub async fn start(data_dir: &DataDir) -> Result<Self, EmbeddedError> {
        let folder = data_dir.path.join(FOLDER);
        let at = at(&folder);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(&at)?;
        // Nobody but us can have put a link there, but a link is not what we made.
        if !folder.symlink_metadata().map_err(&at)?.is_dir() {
            return Err(at(io::ErrorKind::NotADirectory.into()));
        }
        // One that was there already may be open to others.
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(&at)?;
        let folder = folder.canonicalize().map_err(&at)?;
        let socket = socket(&folder);
        if socket.as_os_str().len() > SOCKET_PATH_MOST {
            return Err(EmbeddedError::PathTooLong(socket));
        }
        let mut server = Server::launch(&folder).await?;
        server.ready().await?;
        Ok(Self { server })
    }

    /// Where the server of a data directory listens, whoever runs it.
    pub fn connection(data_dir: &Path) -> ConnectionInfo {
        connection(&Self::socket(data_dir))
    }

    /// Its socket, for `redis-cli -s`.
    pub fn socket(data_dir: &Path) -> PathBuf {
        socket(&data_dir.join(FOLDER))
    }

    /// Until `stop`: starts the server again whenever it ends by itself or no longer answers. Then stops it, within [`Embedded::STOP_LIMIT`].
    pub async fn supervise(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.server.keep_running()).await;
        self.server.end().await;
    }
}

/// The server's side: a guard and a `redis-server`, in a process group of their own.
#[derive(Debug)]
struct Server {
    folder: PathBuf,
    guard: Child,
    group: Pid,
    /// The guard's input: the server ends when this does.
    lifeline: Option<ChildStdin>,
    /// The server's own process, as the guard tells it.
    process: String,
}

impl Server {
    /// Waits until nothing of an earlier server is left, and starts one.
    async fn launch(folder: &Path) -> Result<Self, EmbeddedError> {
        let lock = free_lock(&folder.join(LOCK), PREDECESSOR_LIMIT)
            .await
            .map_err(|error| at(folder)(error.into()))?
            .ok_or_else(|| EmbeddedError::StillRuns(folder.to_owned()))?;
        let start = |error: &dyn std::fmt::Display| EmbeddedError::Start(error.to_string());
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "redis-guard", "redis-server"])
            .args(["--port", "0", "--unixsocketperm", "700", "--daemonize", "no"])
            .args(["--appendonly", "yes", "--save", ""])
            .arg("--unixsocket")
            .arg(socket(folder))
            .arg("--dir")
            .arg(folder)
            .arg("--logfile")
            .arg(log(folder))
            // systemd waits for our readiness there, not for the server's.
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(lock)
            // A Ctrl-C at the terminal is ours to handle: we stop the server when the last event is written.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(|error| start(&error))?;
        let group = guard.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self {
            folder: folder.to_owned(),
            group: group.ok_or_else(|| start(&"it ended at once"))?,
            // Taken out, since waiting for a child closes its input.
            lifeline: guard.stdin.take(),
            guard,
            process: String::new(),
        })
    }

    /// Waits until it answers, and answers everything.
    async fn ready(&mut self) -> Result<(), EmbeddedError> {
        let log = log(&self.folder);
        if let Some(told) = self.guard.stdout.take() {
            let mut line = String::new();
            let read = timeout(START_LIMIT, BufReader::new(told).read_line(&mut line)).await;
            let _ = read.map_err(|_| EmbeddedError::Start("its guard does not start".to_owned()))?;
            line.trim().clone_into(&mut self.process);
        }
        let (mut deadline, mut is_loading) = (Instant::now() + START_LIMIT, false);
        let mut seen = "no answer".to_owned();
        loop {
            match answer(&self.folder).await {
                Ok(answer) if answer.process != self.process => {
                    seen = format!("another server, process {}, has its socket", answer.process);
                }
                Ok(answer) if !answer.is_loading => return Ok(()),
                Ok(_) if is_loading => {}
                Ok(_) => {
                    tracing::info!("the embedded Redis reads its append-only file; waiting for it");
                    (deadline, is_loading) = (Instant::now() + LOAD_LIMIT, true);
                    "its append-only file is not read".clone_into(&mut seen);
                }
                Err(_) => {}
            }
            if let Ok(Some(status)) = self.guard.try_wait() {
                return Err(match status.code() {
                    Some(NOT_FOUND_BY_SHELL) => EmbeddedError::NotInstalled,
                    _ => EmbeddedError::Start(format!("it ended at once ({status}); see {}", log.display())),
                });
            }
            if Instant::now() > deadline {
                let limit = if is_loading { LOAD_LIMIT } else { START_LIMIT };
                return Err(EmbeddedError::Start(format!(
                    "{seen} within {limit:?}; see {}",
                    log.display()
                )));
            }
            sleep(GLANCE).await;
        }
    }

    /// For ever. May be dropped at any point: `self` is always the server that was launched last.
    async fn keep_running(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let why = self.failure().await;
            tracing::error!("the embedded Redis {why}; starting it again");
            loop {
                self.end().await;
                sleep(backoff.delay()).await;
                match self.relaunch().await {
                    Ok(()) => break,
                    Err(error) => tracing::error!("the embedded Redis: {error}"),
                }
            }
            tracing::info!("the embedded Redis runs again");
            backoff.reset();
        }
    }

    async fn relaunch(&mut self) -> Result<(), EmbeddedError> {
        *self = Self::launch(&self.folder).await?;
        self.ready().await
    }

    /// Until it has to be started again; tells why.
    async fn failure(&mut self) -> String {
        let Self {
            folder, guard, process, ..
        } = self;
        let missing = async {
            let mut missed = 0;
            let mut why = String::new();
            while missed < MISSED_MOST {
                sleep(if missed == 0 { ASK_INTERVAL } else { ASK_AGAIN }).await;
                match answer(folder).await {
                    Ok(answer) if answer.process == *process => missed = 0,
                    Ok(answer) => {
                        missed += 1;
                        why = format!("lost its socket to another server, process {}", answer.process);
                    }
                    // An error that the server answered, such as BUSY, is an answer.
                    Err(Some(error)) if error.code().is_some() => missed = 0,
                    Err(error) => {
                        missed += 1;
                        let error = error.map_or_else(|| format!("nothing within {ANSWER_LIMIT:?}"), |e| e.to_string());
                        why = format!("does not answer ({error})");
                    }
                }
            }
            why
        };
        tokio::select! {
            status = guard.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                format!("ended ({status})")
            }
            why = missing => why,
        }
    }

    /// Ends it, by force when it does not end otherwise; within [`Embedded::STOP_LIMIT`].
    async fn end(&mut self) {
        let was_running = matches!(self.guard.try_wait(), Ok(None));
        // The guard sees the end of its input.
        self.lifeline = None;
        match free_lock(&self.folder.join(LOCK), END_LIMIT).await {
            Ok(Some(_)) if was_running => {
                let status = self.guard.wait().await;
                if status.is_ok_and(|status| status.signal() == Some(Signal::SIGKILL as i32)) {
                    tracing::warn!("the embedded Redis did not end when it was told to; it was killed");
                }
            }
            Ok(Some(_)) => {}
            // Whoever holds the lock is of this group, so its number is not another's yet.
            Ok(None) | Err(_) => {
                tracing::warn!(
                    "the embedded Redis did not end within {:?}; killing it",
                    Embedded::STOP_LIMIT
                );
                let _ = killpg(self.group, Signal::SIGKILL);
            }
        }
    }
}

/// What a server says of itself.
struct Answer {
    process: String,
    is_loading: bool,
}

/// Asks whatever server has the socket, on a new connection: only that shows that others can have one. `None`: no answer in time.
async fn answer(folder: &Path) -> Result<Answer, Option<RedisError>> {
    let asked = async {
        let client = redis::Client::open(connection(&socket(folder)))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        // Given also while the server reads its file.
        let info: InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
        Ok(Answer {
            process: info.get("process_id").unwrap_or_default(),
            is_loading: info.get("loading").unwrap_or(false),
        })
    };
    timeout(ANSWER_LIMIT, asked).await.map_err(|_| None)?.map_err(Some)
}

fn at(folder: &Path) -> impl Fn(io::Error) -> EmbeddedError {
    let path = folder.to_owned();
    move |source| EmbeddedError::DataDir {
        path: path.clone(),
        source,
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("redis.sock")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("redis.log")
}

fn connection(socket: &Path) -> ConnectionInfo {
    // A path always makes a connection info.
    ConnectionAddr::Unix(socket.to_owned())
        .into_connection_info()
        .unwrap_or_else(|error| unreachable!("{error}"))
}
