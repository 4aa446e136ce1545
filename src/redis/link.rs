//! Which server to connect to: a fixed address, or the master that the Sentinels name. Checks that
//! it is a server that trunkd can work with.

mod messages;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{AsyncConnectionConfig, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::error::{ConnectError, NoMaster};
use super::options::{SentinelOptions, ServerAddress};
use super::quarantine::Quarantine;
use super::role::{RedisRole, identify};
use super::sentinel::{MasterAddress, Patience, Sentinels};
use super::stream::{self, Driven, ReplyBudget, ReplyBytes, Stream};
use crate::settings::HostPort;
use crate::shown::shown;

/// How long a Sentinel with an older epoch is ignored. After that, somebody reconfigured the
/// Sentinels.
const IGNORE_OLD_EPOCH: Duration = Duration::from_secs(10);

pub(crate) struct Link {
    source: Source,
    /// For `rediss://` and Sentinel with TLS.
    tls: Option<Arc<ClientConfig>>,
    /// Limit of each step while a connection is opened.
    limit: Duration,
    master: Mutex<MasterState>,
    /// Rises when the Sentinels name another master. Connections of a lower generation are obsolete.
    generation: watch::Sender<u64>,
    /// Rises when Redis can be reached again after a loss. It may lack acknowledged writes.
    recovered: watch::Sender<u64>,
    is_lost: AtomicBool,
    reply_bytes: Arc<ReplyBytes>,
    quarantine: Arc<Quarantine>,
}

enum Source {
    Fixed(ConnectionInfo),
    Sentinel(SentinelOptions, Sentinels),
}

struct MasterState {
    /// What the Sentinels said last, and when.
    named: Option<MasterAddress>,
    named_at: Instant,
    /// The last address that confirmed to be a master.
    confirmed: Option<HostPort>,
}

/// A connection to a server that trunkd can work with.
pub(crate) struct Connected {
    pub(crate) connection: Driven,
    pub(crate) info: ConnectionInfo,
    pub(crate) generation: u64,
    /// The error is Redis refusing `ROLE`.
    pub(crate) role: Result<RedisRole, RedisError>,
}

/// A server to connect to.
struct Target {
    info: ConnectionInfo,
    generation: u64,
    /// The master's name and address, and why no Sentinel confirms them, if none does.
    named: Option<(String, MasterAddress, Option<NoMaster>)>,
}

impl Link {
    pub(crate) fn new(address: &ServerAddress, tls: Option<Arc<ClientConfig>>, limit: Duration) -> Self {
        let reply_bytes = Arc::<ReplyBytes>::default();
        Self {
            tls: tls.clone(),
            source: match address {
                ServerAddress::Fixed(info) => Source::Fixed(info.clone()),
                ServerAddress::Sentinel(options) => {
                    Source::Sentinel(options.clone(), Sentinels::new(options, tls, &reply_bytes))
                }
            },
            limit,
            master: Mutex::new(MasterState {
                named: None,
                named_at: Instant::now(),
                confirmed: None,
            }),
            generation: watch::Sender::new(0),
            recovered: watch::Sender::new(0),
            is_lost: AtomicBool::new(false),
            reply_bytes,
            quarantine: Arc::default(),
        }
    }

    /// Opens a connection and checks the server: no Cluster node, and with Sentinel a master.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
        protocol: Option<ProtocolVersion>,
    ) -> Result<Connected, ConnectError> {
        let target = self.target().await?;
        let opened = self.open(&target.info, target.generation, config, protocol).await;
        let opened = opened.and_then(|connected| self.check_role(connected));
        self.finish_connect(&target, opened)
    }

    /// Opens a connection without the client library. Nothing has been sent on it yet. Returns it
    /// with the user to log in as, and its generation.
    pub(crate) async fn open_stream(&self) -> Result<(Box<dyn Stream>, RedisConnectionInfo, u64), ConnectError> {
        let target = self.target().await?;
        let opened = timeout(self.limit, self.stream_to(&target.info)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let user = target.info.redis_settings().clone();
        let opened = opened.map(|stream| (stream, user, target.generation));
        self.finish_connect(&target, opened.map_err(|error| ConnectError::Redis(error.into())))
    }

    /// A share of the memory for replies that are still arriving.
    pub(crate) fn reply_budget(&self) -> ReplyBudget {
        ReplyBudget::new(self.reply_bytes.clone())
    }

    async fn stream_to(&self, info: &ConnectionInfo) -> io::Result<Box<dyn Stream>> {
        let server = format!("Redis at {}", info.addr());
        stream::open(info, self.tls.as_ref(), &self.reply_bytes, &self.quarantine, server).await
    }

    /// # Errors
    /// Nobody may connect at the moment.
    pub(super) fn check_quarantine(&self) -> Result<(), ConnectError> {
        match self.quarantine.reason(Instant::now().into_std()) {
            Some(reason) => Err(ConnectError::Explained(reason)),
            None => Ok(()),
        }
    }

    /// The server to connect to now.
    async fn target(&self) -> Result<Target, ConnectError> {
        self.check_quarantine()?;
        match &self.source {
            Source::Fixed(info) => Ok(Target {
                info: info.clone(),
                generation: 0,
                named: None,
            }),
            Source::Sentinel(options, sentinels) => {
                let (named, generation, none) = self.locate_master(sentinels).await?;
                Ok(Target {
                    info: options.server_at(&named.address),
                    generation,
                    named: Some((options.master.clone(), named, none)),
                })
            }
        }
    }

    /// Explains a failed attempt, or records that the server can be reached.
    fn finish_connect<C>(&self, target: &Target, opened: Result<C, ConnectError>) -> Result<C, ConnectError> {
        let connected = opened.map_err(|error| match &target.named {
            Some((master, named, none)) => error.at(master, &named.address, none.as_ref()),
            None => error,
        })?;
        if let Some((master, named, _)) = &target.named {
            self.confirm_master(master, &named.address);
        }
        if self.is_current(target.generation) {
            self.mark_reached();
        }
        Ok(connected)
    }

    /// Asks the Sentinels whether the master moved.
    ///
    /// # Errors
    /// Why none names a master.
    pub(crate) async fn refresh_master(&self, patience: Patience) -> Result<(), NoMaster> {
        if let Source::Sentinel(_, sentinels) = &self.source {
            self.set_master(sentinels.ask(patience).await?);
        }
        Ok(())
    }

    /// Explains why no connection to the current server could be opened. `none`: why no Sentinel
    /// confirms that it is the master.
    pub(super) fn explain(&self, error: ConnectError, none: Option<&NoMaster>) -> ConnectError {
        match (&self.source, &self.lock().named) {
            (Source::Sentinel(options, _), Some(named)) => error.at(&options.master, &named.address, none),
            _ => error,
        }
    }

    pub(crate) fn has_sentinels(&self) -> bool {
        matches!(self.source, Source::Sentinel(..))
    }

    pub(crate) fn is_current(&self, generation: u64) -> bool {
        *self.generation.borrow() == generation
    }

    /// Waits until the master of this generation is replaced.
    pub(crate) async fn moved(&self, generation: u64) {
        let mut moves = self.generation.subscribe();
        while *moves.borrow_and_update() == generation {
            if moves.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Changes with every move of the master.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// The server sent a valid reply.
    pub(crate) fn lift_quarantine(&self) {
        self.quarantine.lift();
    }

    /// A good connection ended.
    pub(crate) fn mark_lost(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// A connection was opened.
    pub(crate) fn mark_reached(&self) {
        if self.is_lost.swap(false, Ordering::Relaxed) {
            self.recovered.send_modify(|count| *count += 1);
        }
    }

    /// Changes whenever Redis can be reached again after a loss. It may lack acknowledged writes.
    pub(crate) fn recovered(&self) -> watch::Receiver<u64> {
        self.recovered.subscribe()
    }

    /// The current master, if Sentinels name it.
    pub(crate) fn master(&self) -> Option<HostPort> {
        self.lock().confirmed.clone()
    }

    /// The master with its generation. If no Sentinel answers, the last known master and the reason:
    /// without Sentinels there is no failover.
    async fn locate_master(
        &self,
        sentinels: &Sentinels,
    ) -> Result<(MasterAddress, u64, Option<NoMaster>), ConnectError> {
        let patience = match self.lock().named {
            Some(_) => Patience::Prompt,
            None => Patience::First,
        };
        let none = match sentinels.ask(patience).await {
            Ok(named) => {
                self.set_master(named);
                None
            }
            Err(none) => Some(none),
        };
        let master = self.lock();
        match (&master.named, none) {
            (Some(named), none) => Ok((named.clone(), *self.generation.borrow(), none)),
            (None, none) => Err(ConnectError::Explained(
                none.map_or_else(String::new, |none| none.to_string()),
            )),
        }
    }

    fn set_master(&self, named: MasterAddress) {
        let mut master = self.lock();
        let is_old = |known: &MasterAddress| named.epoch < known.epoch && master.named_at.elapsed() < IGNORE_OLD_EPOCH;
        if master.named.as_ref().is_some_and(is_old) {
            return;
        }
        let is_moved = master
            .named
            .as_ref()
            .is_some_and(|known| known.address != named.address);
        master.named = Some(named);
        master.named_at = Instant::now();
        if is_moved {
            self.mark_lost();
            // Under the lock, so that nobody combines the new generation with the old address.
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
        let role = timeout(self.limit, identify(&mut connection)).await.map_err(|_| {
            ConnectError::Explained(format!("it did not answer HELLO and ROLE within {:?}", self.limit))
        })??;
        Ok(Connected {
            connection,
            info: info.clone(),
            generation,
            role,
        })
    }

    /// Logs once which master is used from now on.
    fn confirm_master(&self, name: &str, address: &HostPort) {
        let mut master = self.lock();
        // It may have moved again while we connected.
        if master.named.as_ref().is_none_or(|named| named.address != *address)
            || master.confirmed.as_ref() == Some(address)
        {
            return;
        }
        match master.confirmed.replace(address.clone()) {
            None => tracing::info!("the master {name:?} is {address}"),
            Some(before) => {
                tracing::warn!("the master {name:?} is now {address}, no longer {before}; reading everything again")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, MasterState> {
        // Each field is replaced whole.
        self.master.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_role(&self, connected: Connected) -> Result<Connected, ConnectError> {
        self.check_sentinel_role(&connected.role)?;
        Ok(connected)
    }

    /// With Sentinel only a master will do.
    pub(crate) fn check_sentinel_role(&self, role: &Result<RedisRole, RedisError>) -> Result<(), ConnectError> {
        match role {
            _ if !self.has_sentinels() => Ok(()),
            Ok(RedisRole::Master) => Ok(()),
            Ok(RedisRole::Replica { of }) => Err(ConnectError::Explained(format!(
                "it is a replica of {}: a failover is under way",
                shown(of)
            ))),
            Err(error) => Err(error.clone().into()),
        }
    }
}
