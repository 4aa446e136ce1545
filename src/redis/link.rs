//! How connections to Redis come about: to a fixed address, or to the master that the Sentinels name. Whoever needs one gets it here, so that each
//! is to a server that trunkd can work with.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, ConnectionInfo, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError,
    ServerErrorKind, Value,
};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::options::{SentinelOptions, Way};
use super::quarantine::Quarantine;
use super::sentinel::{Named, NoMaster, Patience, Sentinels};
use super::stream::{self, Coming, Driven, Room, Stream};
use super::{Cause, StoreError};
use crate::settings::HostPort;
use crate::shown::shown;

/// For so long no Sentinel is believed that names the master before the last failover: by then it is a change that somebody made to the Sentinels.
const OLD_NEWS: Duration = Duration::from_secs(10);

pub(crate) struct Link {
    way: Source,
    /// Of `rediss://` and the like.
    tls: Option<Arc<ClientConfig>>,
    /// For what is asked of a new connection before it is used.
    limit: Duration,
    master: Mutex<Master>,
    /// Rises whenever the Sentinels name another master: connections of a lower number are to the one before.
    generation: watch::Sender<u64>,
    /// Rises whenever Redis is found again after it was lost, be it the same server or another.
    found: watch::Sender<u64>,
    is_lost: AtomicBool,
    /// What is coming on all connections.
    coming: Arc<Coming>,
    quarantine: Arc<Quarantine>,
}

enum Source {
    Fixed(ConnectionInfo),
    Sentinel(SentinelOptions, Sentinels),
}

/// What the Sentinels said last.
struct Master {
    named: Option<Named>,
    at: Instant,
    /// The last one that was found to be a master, and the log told of.
    used: Option<HostPort>,
}

/// A connection that can be used, as long as its generation is the newest.
pub(crate) struct Connected {
    pub(crate) connection: Driven,
    pub(crate) generation: u64,
    /// Or why the server does not tell.
    pub(crate) role: Result<Role, RedisError>,
}

/// A server to connect to.
struct Target {
    info: ConnectionInfo,
    generation: u64,
    /// What the Sentinels call it and say of it, and why none says anything newer.
    named: Option<(String, Named, Option<NoMaster>)>,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Replica { of: String },
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Redis(RedisError),
    /// In an operator's words.
    Said(String),
    /// This kind of server will never do.
    Unsupported(String),
}

impl Link {
    pub(crate) fn new(way: &Way, tls: Option<Arc<ClientConfig>>, limit: Duration) -> Self {
        let coming = Arc::<Coming>::default();
        Self {
            tls: tls.clone(),
            way: match way {
                Way::Fixed(info) => Source::Fixed(info.clone()),
                Way::Sentinel(options) => Source::Sentinel(options.clone(), Sentinels::new(options, tls, &coming)),
            },
            limit,
            master: Mutex::new(Master {
                named: None,
                at: Instant::now(),
                used: None,
            }),
            generation: watch::Sender::new(0),
            found: watch::Sender::new(0),
            is_lost: AtomicBool::new(false),
            coming,
            quarantine: Arc::default(),
        }
    }

    /// A new connection, to a server that can be used: no node of a Cluster, and with Sentinel a master.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
        protocol: Option<ProtocolVersion>,
    ) -> Result<Connected, ConnectError> {
        let target = self.target().await?;
        let opened = self.open(&target.info, target.generation, config, protocol).await;
        let opened = match self.has_sentinels() {
            true => opened.and_then(check_master),
            false => opened,
        };
        self.reached(target, opened)
    }

    /// The same without the client library: a stream on which nothing was said yet, as whom to greet, and its generation.
    pub(crate) async fn open_stream(&self) -> Result<(Box<dyn Stream>, RedisConnectionInfo, u64), ConnectError> {
        let target = self.target().await?;
        let opened = timeout(self.limit, self.stream_to(&target.info)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let user = target.info.redis_settings().clone();
        let opened = opened.map(|stream| (stream, user, target.generation));
        self.reached(target, opened.map_err(|error| ConnectError::Redis(error.into())))
    }

    /// For what one connection gathers of an answer.
    pub(crate) fn room(&self) -> Room {
        Room::new(self.coming.clone())
    }

    async fn stream_to(&self, info: &ConnectionInfo) -> io::Result<Box<dyn Stream>> {
        let (quarantine, server) = (self.quarantine.clone(), format!("Redis at {}", info.addr()));
        let on_refusal =
            move |refusal: &_| quarantine.impose(&server, &format!("{refusal}"), Instant::now().into_std());
        stream::open(info, self.tls.as_ref(), &self.coming, on_refusal).await
    }

    /// Where the server is at the moment.
    async fn target(&self) -> Result<Target, ConnectError> {
        if let Some(reason) = self.quarantine.reason(Instant::now().into_std()) {
            return Err(ConnectError::Said(reason));
        }
        match &self.way {
            Source::Fixed(info) => Ok(Target {
                info: info.clone(),
                generation: 0,
                named: None,
            }),
            Source::Sentinel(options, sentinels) => {
                let (named, generation, none) = self.named(sentinels).await?;
                Ok(Target {
                    info: options.server_at(&named.address),
                    generation,
                    named: Some((options.master.clone(), named, none)),
                })
            }
        }
    }

    /// What came of connecting there.
    fn reached<C>(&self, target: Target, opened: Result<C, ConnectError>) -> Result<C, ConnectError> {
        let connected = match (opened, &target.named) {
            (Err(_), Some((.., Some(none)))) => return Err(ConnectError::Said(none.to_string())),
            (Err(error), Some((master, named, None))) => return Err(error.at(master, &named.address)),
            (opened, _) => opened?,
        };
        if let Some((master, named, _)) = &target.named {
            self.tell(master, &named.address);
        }
        if self.is_current(target.generation) && self.is_lost.swap(false, Ordering::Relaxed) {
            self.found.send_modify(|found| *found += 1);
        }
        Ok(connected)
    }

    /// Asks the Sentinels whether the master moved. None that answers at once: it is as it was.
    pub(crate) async fn confirm(&self) {
        if let Source::Sentinel(_, sentinels) = &self.way
            && let Ok(named) = sentinels.ask(Patience::Least).await
        {
            self.take(named);
        }
    }

    /// As [`Link::confirm`], and waits for each Sentinel.
    ///
    /// # Errors
    /// Why none names a master.
    pub(crate) async fn look(&self) -> Result<(), NoMaster> {
        if let Source::Sentinel(_, sentinels) = &self.way {
            self.take(sentinels.ask(Patience::Full).await?);
        }
        Ok(())
    }

    pub(crate) fn has_sentinels(&self) -> bool {
        matches!(self.way, Source::Sentinel(..))
    }

    pub(crate) fn is_current(&self, generation: u64) -> bool {
        *self.generation.borrow() == generation
    }

    /// Until a connection of this generation is to a server that is no longer the master.
    pub(crate) async fn moved(&self, generation: u64) {
        let mut moves = self.generation.subscribe();
        while *moves.borrow_and_update() == generation {
            if moves.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Tells of every move.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// The server answers as it should.
    pub(crate) fn answered(&self) {
        self.quarantine.lift();
    }

    /// A connection ended that was good.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Tells whenever Redis was found again. It may lack what it had acknowledged before.
    pub(crate) fn found(&self) -> watch::Receiver<u64> {
        self.found.subscribe()
    }

    /// The master in use, where the Sentinels name it.
    pub(crate) fn master(&self) -> Option<HostPort> {
        self.lock().used.clone()
    }

    /// How messages name the server.
    pub(crate) fn server(&self) -> String {
        match &self.way {
            Source::Fixed(info) => format!("Redis at {}", info.addr()),
            Source::Sentinel(options, _) => {
                let master = self.lock();
                let named = master.named.as_ref().map(|named| &named.address);
                match master.used.as_ref().or(named) {
                    Some(address) => format!("Redis at {address}"),
                    None => format!("Redis, the master {:?}", options.master),
                }
            }
        }
    }

    /// What was asked took too long.
    pub(crate) fn late(&self, operation: &'static str, limit: Duration) -> StoreError {
        StoreError::Timeout {
            server: self.server(),
            operation,
            limit,
        }
    }

    /// What was asked failed on a connection that was good.
    pub(crate) fn failed(&self, operation: &'static str, error: &RedisError) -> StoreError {
        let is_broken = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
        let cause = if is_broken { Cause::Broken } else { Cause::Refused };
        self.redis_error(operation, cause, self.describe(error))
    }

    pub(crate) fn redis_error(&self, operation: &'static str, cause: Cause, reason: String) -> StoreError {
        StoreError::Redis {
            server: self.server(),
            operation,
            cause,
            reason,
        }
    }

    /// The error in an operator's words, with the mend where there is a usual one. What Redis itself says is
    /// foreign text.
    pub(crate) fn describe(&self, error: &RedisError) -> String {
        let by_sentinel = self.has_sentinels();
        let mend = match error.kind() {
            ErrorKind::AuthenticationFailed => "; check redis.username and redis.password",
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                "; give trunkd's Redis user this command and these keys (README: Redis user)"
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) if by_sentinel => {
                "; it was made a replica: a failover is under way"
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) => "; this is a replica: point redis.url at the master",
            ErrorKind::Server(ServerErrorKind::MasterDown) => {
                "; this is a replica that has lost its master, and serves nothing meanwhile"
            }
            ErrorKind::Server(ServerErrorKind::BusyLoading) => "; it answers when that is done",
            _ if error.code() == Some("NOAUTH") => "; set redis.password",
            _ if error.code() == Some("OOM") => "; Redis is out of memory: raise its maxmemory or free some",
            _ if error.code() == Some("MISCONF") => "; Redis cannot write its disk: free space there",
            _ => tls_mend(error),
        };
        format!("{}{mend}", shown(&error.to_string()))
    }

    /// There is no connection.
    pub(crate) fn error(&self, operation: &'static str, error: &ConnectError) -> StoreError {
        match error {
            ConnectError::Redis(error) => self.redis_error(operation, Cause::Connection, self.describe(error)),
            ConnectError::Said(reason) => self.redis_error(operation, Cause::Connection, reason.clone()),
            ConnectError::Unsupported(reason) => StoreError::Unsupported(reason.clone()),
        }
    }

    /// Of a server that is read and turns out to be a replica.
    pub(crate) fn replica(&self, operation: &'static str, of: &str) -> StoreError {
        let mend = match self.has_sentinels() {
            true => "a failover is under way",
            false => "point redis.url at the master",
        };
        let of = shown(of);
        let reason = format!("this is a replica of {of}, and what it holds may be old: {mend}");
        self.redis_error(operation, Cause::Refused, reason)
    }

    /// Where the master is, and the generation that it is of. When no Sentinel names one, where it was last, since there is no failover without them;
    /// and why.
    async fn named(&self, sentinels: &Sentinels) -> Result<(Named, u64, Option<NoMaster>), ConnectError> {
        let patience = match self.lock().named {
            Some(_) => Patience::Least,
            None => Patience::Little,
        };
        let none = match sentinels.ask(patience).await {
            Ok(named) => {
                self.take(named);
                None
            }
            Err(none) => Some(none),
        };
        let master = self.lock();
        match (&master.named, none) {
            (Some(named), none) => Ok((named.clone(), *self.generation.borrow(), none)),
            (None, none) => Err(ConnectError::Said(
                none.map_or_else(String::new, |none| none.to_string()),
            )),
        }
    }

    /// Takes in what the Sentinels say.
    fn take(&self, named: Named) {
        let mut master = self.lock();
        let is_old = |known: &Named| named.epoch < known.epoch && master.at.elapsed() < OLD_NEWS;
        if master.named.as_ref().is_some_and(is_old) {
            return;
        }
        let is_moved = master
            .named
            .as_ref()
            .is_some_and(|known| known.address != named.address);
        master.named = Some(named);
        master.at = Instant::now();
        if is_moved {
            self.lose();
            // While the lock is held, so that nobody takes the new number for the old address.
            self.generation.send_modify(|generation| *generation += 1);
        }
    }

    async fn open(
        &self,
        info: &ConnectionInfo,
        generation: u64,
        config: &AsyncConnectionConfig,
        protocol: Option<ProtocolVersion>,
    ) -> Result<Connected, ConnectError> {
        let mut user = info.redis_settings().clone();
        if let Some(protocol) = protocol {
            user = user.set_protocol(protocol);
        }
        let opening = async { Driven::start(&user, self.stream_to(info).await?, config).await };
        let opened = timeout(self.limit, opening).await;
        let mut connection = opened.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
        let role = timeout(self.limit, identify(&mut connection))
            .await
            .map_err(|_| ConnectError::Said(format!("it did not answer within {:?} what it is", self.limit)))??;
        Ok(Connected {
            connection,
            generation,
            role,
        })
    }

    /// Says once which master is used from now on.
    fn tell(&self, name: &str, address: &HostPort) {
        let mut master = self.lock();
        // It may have moved on while we connected.
        if master.named.as_ref().is_none_or(|named| named.address != *address) || master.used.as_ref() == Some(address)
        {
            return;
        }
        match master.used.replace(address.clone()) {
            None => tracing::info!("the master {name:?} is {address}"),
            Some(before) => {
                tracing::warn!("the master {name:?} is now {address}, no longer {before}; reading everything again")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Master> {
        // Each field is replaced whole.
        self.master.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Role {
    /// What `ROLE` answered. PING does not tell: a demoted server goes on answering it.
    pub(crate) fn of(role: &Value) -> Self {
        let Value::Array(items) = role else {
            return Self::Replica {
                of: "another".to_owned(),
            };
        };
        let word = |at: usize| {
            items
                .get(at)
                .and_then(|item| redis::from_redis_value_ref::<String>(item).ok())
        };
        match word(0).as_deref() {
            Some("master") => Self::Master,
            _ => Self::Replica {
                of: format!("{}:{}", word(1).unwrap_or_default(), word(2).unwrap_or_default()),
            },
        }
    }
}

impl ConnectError {
    /// With the server's address, which with Sentinel stands in no settings.
    fn at(self, name: &str, address: &HostPort) -> Self {
        match self {
            Self::Redis(error) if error.is_io_error() => Self::Said(format!(
                "the master {name:?}, {address} as the Sentinels say, cannot be reached: {}{}",
                shown(&error.to_string()),
                match tls_mend(&error) {
                    "" =>
                        "; if it runs, it must be reachable from here at that address (`replica-announce-ip`, `sentinel announce-ip`)",
                    mend => mend,
                }
            )),
            Self::Said(reason) => Self::Said(format!("the master {name:?}, {address} as the Sentinels say: {reason}")),
            error => error,
        }
    }
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(error) => error.fmt(f),
            Self::Said(reason) | Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

fn check_master(connected: Connected) -> Result<Connected, ConnectError> {
    match connected.role {
        Ok(Role::Master) => Ok(connected),
        Ok(Role::Replica { of }) => Err(ConnectError::Said(format!(
            "it is a replica of {}: a failover is under way",
            shown(&of)
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Asks a server what it is, by commands that a restricted user has.
async fn identify(connection: &mut Driven) -> Result<Result<Role, RedisError>, ConnectError> {
    let (hello, role): (Value, Value) = redis::pipe()
        .ignore_errors()
        .cmd("HELLO")
        .cmd("ROLE")
        .query_async(connection)
        .await?;
    let mode = match hello.extract_error() {
        Ok(hello) => mode_of(hello),
        // Before Redis 6 there is no HELLO.
        Err(_) => {
            let info: Result<String, RedisError> = redis::cmd("INFO").arg("cluster").query_async(connection).await;
            mode_by_info(info.ok())
        }
    };
    refuse(mode.as_deref())?;
    Ok(role.extract_error().map(|role| Role::of(&role)))
}

/// Of HELLO's answer: `standalone`, or something else.
pub(crate) fn mode_of(hello: Value) -> Option<String> {
    let hello: HashMap<String, Value> = redis::from_redis_value(hello).ok()?;
    redis::from_redis_value_ref(hello.get("mode")?).ok()
}

/// Of the answer to INFO, where there is no HELLO.
pub(crate) fn mode_by_info(info: Option<String>) -> Option<String> {
    let is_cluster = info.is_some_and(|info| info.contains("cluster_enabled:1"));
    is_cluster.then(|| "cluster".to_owned())
}

/// # Errors
/// Of what mode trunkd cannot work with, and why.
pub(crate) fn refuse(mode: Option<&str>) -> Result<(), ConnectError> {
    const CLUSTER: &str = "Redis Cluster is not supported, since Redis tells of changes, and runs scripts, on each node by itself: use a standalone \
                           Redis, or one with replicas and Sentinel (redis.sentinel)";
    const SENTINEL: &str = "this is a Sentinel, which holds no gateways: name it in redis.sentinel.nodes, and its master in redis.sentinel.master";
    match mode {
        Some("cluster") => Err(ConnectError::Unsupported(CLUSTER.to_owned())),
        Some("sentinel") => Err(ConnectError::Unsupported(SENTINEL.to_owned())),
        _ => Ok(()),
    }
}

/// What is usually wrong when TLS fails.
pub(crate) fn tls_mend(error: &RedisError) -> &'static str {
    if !error.is_io_error() {
        return "";
    }
    let text = error.to_string();
    let has = |words: &str| text.contains(words);
    match () {
        () if has("UnknownIssuer") => "; set redis.tls.ca to the authority that its certificate comes from",
        () if has("NotValidForName") || has("not valid for name") => {
            "; its certificate must name the host, or the address, that trunkd connects to"
        }
        () if has("CertificateRequired") || has("requires a certificate") => {
            "; it asks for a certificate: set redis.tls.cert and redis.tls.key"
        }
        () if has("InvalidContentType") => "; it speaks no TLS there",
        () => "",
    }
}
