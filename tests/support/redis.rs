//! A real `redis-server` for one test: private, on a free port of 127.0.0.1 and on a Unix socket, gone with its value.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

use super::port::free_port;

/// A server that isn't up by then never will be.
const START_DEADLINE: Duration = Duration::from_secs(15);
/// Another process may take a free port before the server listens on it.
const START_TRIES: usize = 5;

/// Sentinels that didn't agree on a new master by then never will.
const FAILOVER_DEADLINE: Duration = Duration::from_secs(60);

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
    /// In memory only.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With an append-only file, synced after each command, so that [`Data::Kept`] keeps everything.
    pub async fn start_with_aof() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// With more arguments for `redis-server` (`--requirepass`, `secret`). `{port}` is replaced by its port.
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

    /// `--tls-port {port} --port 0` and the server's certificate; with `asks`, clients must show one too.
    pub fn tls_arguments(certificates: &Certificates, asks: bool) -> Vec<String> {
        let path = |name: &str| certificates.path(name).display().to_string();
        let words = [
            ("--port", "0".to_owned()),
            ("--tls-port", "{port}".to_owned()),
            ("--tls-cert-file", path("cert.pem")),
            ("--tls-key-file", path("key.pem")),
            ("--tls-ca-cert-file", path("ca.pem")),
            ("--tls-auth-clients", if asks { "yes" } else { "no" }.to_owned()),
            ("--tls-replication", "yes".to_owned()),
        ];
        words
            .into_iter()
            .flat_map(|(word, value)| [word.to_owned(), value])
            .collect()
    }

    /// A connection through its socket, which needs no TLS.
    pub async fn local_connection(&self, password: Option<&str>) -> redis::aio::MultiplexedConnection {
        // During a failover a server may be busy for longer than the client's default of half a second.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(START_DEADLINE));
        let client = self.local_client(password);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        connection.expect("connect to our own redis-server")
    }

    fn local_client(&self, password: Option<&str>) -> redis::Client {
        let pass = password.map_or_else(String::new, |password| format!("?pass={password}"));
        redis::Client::open(format!("{}{pass}", self.socket_url())).expect("the URL of our own server")
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

    /// A TCP connection without credentials.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        // On a busy machine a reply may take longer than the client's default of half a second.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(START_DEADLINE));
        let client = redis::Client::open(self.url()).expect("the URL of our own server");
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .expect("connect to our own redis-server")
    }

    /// SIGKILL, like a power failure: nothing is saved.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills it if it runs, and starts it on the same port and socket.
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

    /// A stopped server keeps its connections and accepts new ones, but answers nothing.
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
            .args(
                self.arguments
                    .iter()
                    .map(|argument| argument.replace("{port}", &self.port.to_string())),
            )
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

/// A certificate for 127.0.0.1, for servers and clients, and the authority that signed it: `ca.pem`,
/// `cert.pem`, `key.pem`.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for certificates");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("an authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "authority of a test");
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let ca = authority.self_signed(&authority_key).expect("an authority");
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let cert = cert.signed_by(&key, &issuer).expect("a certificate");
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(name), text).expect("write a certificate");
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A master with replicas, and Sentinels that monitor it as `mymaster`.
pub struct Group {
    pub servers: Vec<RedisServer>,
    pub sentinels: Vec<Sentinel>,
    setup: Setup,
}

/// What differs between tests.
#[derive(Default)]
pub struct Setup {
    pub replicas: usize,
    pub sentinels: usize,
    /// Of the servers.
    pub password: Option<&'static str>,
    /// Of the Sentinels.
    pub sentinel_password: Option<&'static str>,
    pub certificates: Option<Certificates>,
}

impl Group {
    pub async fn start(replicas: usize, sentinels: usize) -> Self {
        let setup = Setup {
            replicas,
            sentinels,
            ..Setup::default()
        };
        Self::start_with(setup).await
    }

    /// Returns when the replicas have what the master has, and the Sentinels know them and one another.
    pub async fn start_with(setup: Setup) -> Self {
        // With threads for its sockets, invalidations take another path than replies.
        let mut arguments: Vec<_> = ["--repl-diskless-sync-delay", "0", "--io-threads", "4"]
            .map(str::to_owned)
            .into();
        if let Some(password) = setup.password {
            let words = ["--requirepass", password, "--masterauth", password];
            arguments.extend(words.map(str::to_owned));
        }
        if let Some(certificates) = &setup.certificates {
            arguments.extend(RedisServer::tls_arguments(certificates, true));
        }
        let words = |more: &[String]| -> Vec<String> { arguments.iter().chain(more).cloned().collect() };
        let start = async |more: &[String]| {
            let words = words(more);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            RedisServer::start_with(&words).await
        };
        let mut servers = vec![start(&[]).await];
        let of = ["--replicaof".to_owned(), format!("127.0.0.1 {}", servers[0].port())];
        for _ in 0..setup.replicas {
            servers.push(start(&of).await);
        }
        let mut sentinels = Vec::new();
        for _ in 0..setup.sentinels {
            // Staggered: Sentinels that lose the master at the same moment vote for themselves, and retry
            // only seconds later.
            let down_after = Duration::from_millis(1000 + 400 * sentinels.len() as u64);
            sentinels.push(Sentinel::start(servers[0].port(), down_after, &setup).await);
        }
        let group = Self {
            servers,
            sentinels,
            setup,
        };
        group.wait_until_whole().await;
        group
    }

    /// Lines for `[redis]`.
    pub fn settings(&self) -> String {
        let nodes: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("\"127.0.0.1:{}\"", sentinel.port))
            .collect();
        let mut sentinel = format!("master = \"mymaster\", nodes = [{}]", nodes.join(", "));
        let mut more = String::new();
        if let Some(password) = self.setup.sentinel_password {
            sentinel += &format!(", password = \"{password}\"");
        }
        if let Some(password) = self.setup.password {
            more += &format!("password = \"{password}\"\n");
        }
        if let Some(certificates) = &self.setup.certificates {
            sentinel += ", tls = true";
            let path = |name: &str| certificates.path(name);
            more += &format!(
                "tls = {{ ca = {:?}, cert = {:?}, key = {:?} }}\n",
                path("ca.pem"),
                path("cert.pem"),
                path("key.pem")
            );
        }
        format!("{more}sentinel = {{ {sentinel} }}\n")
    }

    /// The master according to the first Sentinel that answers.
    pub async fn master(&self) -> usize {
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg("mymaster");
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.child.is_some()) {
            if let Ok((_, port)) = sentinel.ask::<(String, u16)>(&ask).await {
                let at = self.servers.iter().position(|server| server.port() == port);
                return at.expect("the master is one of ours");
            }
        }
        panic!("no Sentinel answers");
    }

    /// Waits until the master is not `old`, and returns it. After a split vote the Sentinels retry seconds
    /// later, perhaps more than once.
    pub async fn next_master(&self, old: usize) -> usize {
        let start = Instant::now();
        loop {
            let master = self.master().await;
            if master != old {
                return master;
            }
            assert!(
                start.elapsed() < FAILOVER_DEADLINE,
                "the Sentinels make no other server the master"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn connection(&self, server: usize) -> redis::aio::MultiplexedConnection {
        self.servers[server].local_connection(self.setup.password).await
    }

    /// Waits until every replica has everything that the master has, and the Sentinels know them all.
    pub async fn wait_until_whole(&self) {
        let start = Instant::now();
        while !self.is_whole().await {
            assert!(
                start.elapsed() < START_DEADLINE * 2,
                "the replicas or Sentinels do not find each other"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_whole(&self) -> bool {
        let master = self.master().await;
        let Ok(of_master) = self.replication(master).await else {
            return false;
        };
        let master_port = self.servers[master].port().to_string();
        let offset = of_master["master_repl_offset"].parse::<u64>();
        for at in (0..self.servers.len()).filter(|at| self.servers[*at].is_running()) {
            let Ok(info) = self.replication(at).await else {
                return false;
            };
            let is_well = match at == master {
                true => info["role"] == "master",
                false => {
                    info["role"] == "slave"
                        && info["master_port"] == master_port
                        && info["master_link_status"] == "up"
                        && info["slave_repl_offset"].parse().ok() >= offset.clone().ok()
                }
            };
            if !is_well {
                return false;
            }
        }
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.child.is_some()) {
            let mut ask = redis::cmd("SENTINEL");
            ask.arg("MASTER").arg("mymaster");
            let known: HashMap<String, String> = sentinel.ask(&ask).await.expect("SENTINEL MASTER");
            let mut ask = redis::cmd("SENTINEL");
            ask.arg("REPLICAS").arg("mymaster");
            let replicas: Vec<HashMap<String, String>> = sentinel.ask(&ask).await.expect("SENTINEL REPLICAS");
            let is_sound = known["flags"] == "master"
                && replicas.len() == self.setup.replicas
                && replicas
                    .iter()
                    .all(|replica| replica["flags"] == "slave" && replica["master-link-status"] == "ok")
                && known["num-other-sentinels"] == (self.sentinels.len() - 1).to_string();
            if !is_sound {
                return false;
            }
        }
        true
    }

    /// The fields of `INFO replication`. A server whose role changes disconnects its clients.
    async fn replication(&self, server: usize) -> redis::RedisResult<HashMap<String, String>> {
        let client = self.servers[server].local_client(self.setup.password);
        let mut connection = client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut connection)
            .await?;
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Starts a failover by hand with `SENTINEL FAILOVER`.
    pub async fn fail_over(&self) {
        let mut order = redis::cmd("SENTINEL");
        order.arg("FAILOVER").arg("mymaster");
        self.sentinels[0].ask::<()>(&order).await.expect("a failover");
    }
}

pub struct Sentinel {
    port: u16,
    folder: TempDir,
    password: Option<&'static str>,
    child: Option<Child>,
}

impl Sentinel {
    async fn start(master: u16, down_after: Duration, setup: &Setup) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("trunkd-sentinel-")
            .tempdir()
            .expect("a folder for a Sentinel");
        let mut sentinel = Self {
            port: 0,
            folder,
            password: setup.sentinel_password,
            child: None,
        };
        for _ in 0..START_TRIES {
            sentinel.port = free_port();
            std::fs::write(
                sentinel.file("sentinel.conf"),
                sentinel.configuration(master, down_after, setup),
            )
            .expect("its settings");
            if sentinel.launch().await {
                // Sentinel's intervals are made for networks. An older Redis has no such command.
                let mut quicker = redis::cmd("SENTINEL");
                quicker.arg("DEBUG");
                for (period, milliseconds) in [("INFO-PERIOD", 200), ("ASK-PERIOD", 100), ("PUBLISH-PERIOD", 200)] {
                    quicker.arg(period).arg(milliseconds);
                }
                let _ = sentinel.ask::<()>(&quicker).await;
                return sentinel;
            }
        }
        panic!("a Sentinel did not start");
    }

    fn configuration(&self, master: u16, down_after: Duration, setup: &Setup) -> String {
        let down_after = down_after.as_millis();
        let (port, folder) = (self.port, self.folder.path().display());
        let quorum = setup.sentinels / 2 + 1;
        let mut text = format!(
            "bind 127.0.0.1\ndir {folder}\nunixsocket {folder}/redis.sock\nlogfile {folder}/log\n\
             sentinel monitor mymaster 127.0.0.1 {master} {quorum}\nsentinel down-after-milliseconds mymaster {down_after}\n\
             sentinel failover-timeout mymaster 2000\n"
        );
        if let Some(password) = setup.password {
            text += &format!("sentinel auth-pass mymaster {password}\n");
        }
        if let Some(password) = setup.sentinel_password {
            text += &format!("requirepass {password}\nsentinel sentinel-pass {password}\n");
        }
        match &setup.certificates {
            None => text += &format!("port {port}\n"),
            Some(certificates) => {
                for pair in RedisServer::tls_arguments(certificates, true).chunks(2) {
                    text += &format!(
                        "{} {}\n",
                        pair[0].trim_start_matches('-'),
                        pair[1].replace("{port}", &port.to_string())
                    );
                }
            }
        }
        text
    }

    /// False if it ended instead of starting.
    async fn launch(&mut self) -> bool {
        let child = Command::new("redis-server")
            .arg(self.file("sentinel.conf"))
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        let url = self.socket_url();
        let child = self.child.insert(child);
        let deadline = Instant::now() + START_DEADLINE;
        while Instant::now() < deadline {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            if answers_ping(&url).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
        false
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A stopped Sentinel accepts connections, but answers nothing.
    pub fn sigstop(&self) {
        let child = self.child.as_ref().expect("a running Sentinel to signal");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).expect("signal our own child");
    }

    /// Like a reboot of its machine.
    pub async fn restart(&mut self) {
        self.kill();
        assert!(self.launch().await, "a Sentinel did not start again");
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        let pass = self
            .password
            .map_or_else(String::new, |password| format!("?pass={password}"));
        let client = redis::Client::open(format!("{}{pass}", self.socket_url()))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.file("redis.sock").display())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill(); // SIGKILL ends a stopped one too
    }
}

/// A reply that asks for a password, or refuses the command, counts.
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
