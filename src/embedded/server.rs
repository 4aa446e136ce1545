//! The `redis-server` process and the guard that ends it.

use std::fmt::Display;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use super::error::EmbeddedError;
use super::paths::Paths;
use super::probe::{ServerInfo, probe};
use crate::backoff::Backoff;
use crate::data_dir::wait_for_lock;

/// From the start of the process to its first reply.
const START_LIMIT: Duration = Duration::from_secs(30);
/// From then until its append-only file is loaded. Gigabytes take minutes on a slow disk, and giving up
/// would only start over.
const LOAD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long an earlier trunkd's server may take to end: much longer than [`GUARD`] gives it.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(5);
/// The same for our own server: the guard's one second, and time for the kill.
const END_LIMIT: Duration = Duration::from_millis(1300);
/// The longest time that [`Server::stop`] takes.
pub(super) const STOP_LIMIT: Duration = Duration::from_millis(1500);
/// How often a running server is probed, and how soon again after a missed reply.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBE_RETRY: Duration = Duration::from_secs(1);
/// After this many missed replies in a row the server is restarted. It replies even while a script
/// keeps it busy.
const MAX_MISSED: u32 = 3;
/// Polling interval while the server starts.
const START_POLL: Duration = Duration::from_millis(20);
/// A shell's exit status for an unknown command.
const SHELL_NOT_FOUND: i32 = 127;
/// Stands between us and the server. When we die in any way, the guard's standard input ends, and the
/// whole process group gets SIGTERM and a second later SIGKILL. A killed server loses nothing that it
/// acknowledged: the kernel has it.
///
/// Standard error is the lock file. The guard and the server inherit it. The watcher must not: its `cat`
/// and `sleep` may outlive them. The kernel sends SIGHUP to the group if we die while a member of it is
/// stopped.
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

/// A guard and a `redis-server`, in their own process group.
#[derive(Debug)]
pub(super) struct Server {
    paths: Paths,
    guard: Child,
    group: Pid,
    /// The guard's standard input. Closing it ends the server.
    lifeline: Option<ChildStdin>,
    /// The server's process ID, reported by the guard.
    process: String,
}

impl Server {
    /// Starts a server, and waits until it is ready.
    pub(super) async fn start(paths: Paths) -> Result<Self, EmbeddedError> {
        let mut server = Self::launch(paths).await?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Runs forever: restarts the server when it fails. Can be cancelled at any point, since `self` is
    /// always the server that was launched last.
    pub(super) async fn keep_running(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let failure = self.wait_for_failure().await;
            tracing::error!("the embedded Redis {failure}; starting it again");
            loop {
                self.stop().await;
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

    /// Stops the server within [`STOP_LIMIT`], by force if necessary.
    pub(super) async fn stop(&mut self) {
        let was_running = matches!(self.guard.try_wait(), Ok(None));
        self.lifeline = None;
        match wait_for_lock(&self.paths.lock(), END_LIMIT).await {
            Ok(Some(_)) if was_running => {
                let status = self.guard.wait().await;
                if status.is_ok_and(|status| status.signal() == Some(Signal::SIGKILL as i32)) {
                    tracing::warn!("the embedded Redis did not end when it was told to; it was killed");
                }
            }
            Ok(Some(_)) => {}
            // The process that holds the lock is a member of this group, so the ID is not reused yet.
            Ok(None) | Err(_) => {
                tracing::warn!("the embedded Redis did not end within {STOP_LIMIT:?}; killing it");
                let _ = killpg(self.group, Signal::SIGKILL);
            }
        }
    }

    /// Waits until nothing is left of an earlier server, and launches a new one.
    async fn launch(paths: Paths) -> Result<Self, EmbeddedError> {
        let lock = wait_for_lock(&paths.lock(), PREDECESSOR_LIMIT)
            .await
            .map_err(|error| paths.error(error.into()))?
            .ok_or_else(|| EmbeddedError::StillRunning(paths.folder().to_owned()))?;
        let start_error = |error: &dyn Display| EmbeddedError::Start(error.to_string());
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "redis-guard", "redis-server"])
            .args(["--port", "0", "--unixsocketperm", "700", "--daemonize", "no"])
            .args(["--appendonly", "yes", "--save", ""])
            .arg("--unixsocket")
            .arg(paths.socket())
            .arg("--dir")
            .arg(paths.folder())
            .arg("--logfile")
            .arg(paths.log())
            // systemd waits there for trunkd, not for this server.
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(lock)
            // Keeps the terminal's Ctrl-C away: the server must outlive the last write.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(|error| start_error(&error))?;
        let group = guard.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self {
            paths,
            group: group.ok_or_else(|| start_error(&"it ended immediately"))?,
            // Taken out because waiting for a child closes its standard input.
            lifeline: guard.stdin.take(),
            guard,
            process: String::new(),
        })
    }

    async fn relaunch(&mut self) -> Result<(), EmbeddedError> {
        *self = Self::launch(self.paths.clone()).await?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<(), EmbeddedError> {
        self.read_process_id().await?;
        let log = self.paths.log();
        let (mut limit, mut since) = (START_LIMIT, Instant::now());
        let mut state = "no reply".to_owned();
        loop {
            match probe(&self.paths).await {
                Ok(info) if info.process != self.process => {
                    state = format!("process {} has its socket", info.process);
                }
                Ok(info) if !info.is_loading => return Ok(()),
                Ok(_) if limit == START_LIMIT => {
                    tracing::info!("waiting until the embedded Redis has loaded its append-only file");
                    (limit, since) = (LOAD_LIMIT, Instant::now());
                    "its append-only file was not loaded".clone_into(&mut state);
                }
                Ok(_) | Err(_) => {}
            }
            if let Ok(Some(status)) = self.guard.try_wait() {
                return Err(self.ended_early(status));
            }
            if since.elapsed() > limit {
                let reason = format!("{state} within {limit:?}; see {}", log.display());
                return Err(EmbeddedError::Start(reason));
            }
            sleep(START_POLL).await;
        }
    }

    async fn read_process_id(&mut self) -> Result<(), EmbeddedError> {
        if let Some(stdout) = self.guard.stdout.take() {
            let mut line = String::new();
            let read = timeout(START_LIMIT, BufReader::new(stdout).read_line(&mut line)).await;
            let _ = read.map_err(|_| EmbeddedError::Start("its guard did not start".to_owned()))?;
            line.trim().clone_into(&mut self.process);
        }
        Ok(())
    }

    fn ended_early(&self, status: ExitStatus) -> EmbeddedError {
        match status.code() {
            Some(SHELL_NOT_FOUND) => EmbeddedError::NotInstalled,
            _ => {
                let log = self.paths.log();
                EmbeddedError::Start(format!("it ended immediately ({status}); see {}", log.display()))
            }
        }
    }

    /// Waits until the server must be restarted, and says why.
    async fn wait_for_failure(&mut self) -> String {
        let Self {
            paths, guard, process, ..
        } = self;
        tokio::select! {
            status = guard.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                format!("ended ({status})")
            }
            failure = wait_until_unreachable(paths, process) => failure,
        }
    }
}

/// Waits until the server misses [`MAX_MISSED`] probes in a row, and says how the last one failed.
async fn wait_until_unreachable(paths: &Paths, process: &str) -> String {
    let mut missed = 0;
    loop {
        sleep(if missed == 0 { PROBE_INTERVAL } else { PROBE_RETRY }).await;
        let failure = match probe(paths).await {
            Ok(ServerInfo { process: found, .. }) if found == process => None,
            Ok(other) => Some(format!("lost its socket to process {}", other.process)),
            Err(error) if error.is_reply() => None,
            Err(error) => Some(format!("does not answer ({error})")),
        };
        match failure {
            None => missed = 0,
            Some(failure) if missed + 1 == MAX_MISSED => return failure,
            Some(_) => missed += 1,
        }
    }
}
