//! A real `redis-server` for one test: private, on a free port of 127.0.0.1 and on a Unix socket, gone with its value.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server that isn't up by then never will be
const START_DEADLINE: Duration = Duration::from_secs(15);
/// Another process may take a port between our asking for a free one and the server's listening on it
const START_TRIES: usize = 5;

/// Whether a restarted server finds what it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    Kept,
    Lost,
}

pub struct RedisServer {
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// In memory only
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With an append-only file, written through at each command, so that [`Data::Kept`] keeps everything
    pub async fn start_with_aof() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// With more arguments, as `redis-server` takes them (`--requirepass`, `secret`)
    pub async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("trunkd-redis-")
            .tempdir()
            .expect("a folder for redis-server");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = RedisServer {
            port: 0,
            folder,
            arguments,
            child: None,
        };
        for _ in 0..START_TRIES {
            server.port = free_port();
            if server.launch().await {
                return server;
            }
        }
        panic!("redis-server did not start: {}", server.log());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn socket_path(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// `redis+unix:///…`
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket_path().display())
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// A plain connection, without credentials
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("the URL of our own server");
        client
            .get_multiplexed_async_connection()
            .await
            .expect("connect to our own redis-server")
    }

    /// SIGKILL, as a machine that loses power: nothing is saved.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills it, if it runs, and starts it on the same port and socket.
    pub async fn restart(&mut self, data: Data) {
        self.kill();
        if data == Data::Lost {
            for entry in std::fs::read_dir(self.folder.path())
                .expect("read redis-server's folder")
                .flatten()
            {
                let path = entry.path();
                let _ = if path.is_dir() {
                    std::fs::remove_dir_all(path)
                } else {
                    std::fs::remove_file(path)
                };
            }
        }
        for _ in 0..START_TRIES {
            if self.launch().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("redis-server did not start again on port {}: {}", self.port, self.log());
    }

    /// Stopped, it keeps its connections and takes new ones, but answers nothing.
    pub fn sigstop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn sigcont(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a running redis-server to signal");
        kill(Pid::from_raw(child.id() as i32), signal).expect("signal our own child");
    }

    /// False if it ended instead of starting.
    async fn launch(&mut self) -> bool {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log for redis-server");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args([
                "--unixsocket",
                &self.socket_path().display().to_string(),
                "--unixsocketperm",
                "700",
            ])
            .args([
                "--dir",
                &self.folder.path().display().to_string(),
                "--save",
                "",
                "--daemonize",
                "no",
            ])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(log);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                panic!("install redis-server (Debian: apt-get install redis-server) or run make test")
            }
            Err(error) => panic!("redis-server cannot be started: {error}"),
        };
        let url = self.socket_url(); // ours alone, where the port might be answered by another server
        let child = self.child.insert(child);
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                self.child = None;
                return false;
            }
            if answers_ping(&url).await {
                return true;
            }
            if Instant::now() > deadline {
                self.kill();
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill(); // SIGKILL ends a stopped one too
    }
}

/// An answer that asks for a password, or refuses the command, is an answer.
async fn answers_ping(url: &str) -> bool {
    let Ok(client) = redis::Client::open(url) else {
        return false;
    };
    let asked = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    };
    match tokio::time::timeout(Duration::from_secs(1), asked).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => error.code().is_some_and(|code| matches!(code, "NOAUTH" | "NOPERM")),
        Err(_) => false,
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port of 127.0.0.1");
    listener.local_addr().expect("the address of a bound listener").port()
}
