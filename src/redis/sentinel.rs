//! Asks the Sentinels where the master is.
//!
//! The redis crate has a Sentinel client, but it asks one Sentinel after the other with a full timeout
//! each, so one that is down would take longer than a request may. It also believes the first answer,
//! even if another Sentinel knows a newer failover.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::NoMaster;
use super::options::SentinelOptions;
use super::quarantine::Quarantine;
use super::stream::{self, Driven, ReplyBytes};
use crate::settings::HostPort;
use crate::shown::shown;

/// Limit for one Sentinel, including the connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How long after the first answer the others may follow. They answer from memory.
const GRACE: Duration = Duration::from_millis(100);

pub(crate) struct Sentinels {
    /// The master's name.
    name: String,
    nodes: Vec<Node>,
    tls: Option<Arc<ClientConfig>>,
    reply_bytes: Arc<ReplyBytes>,
}

struct Node {
    address: HostPort,
    info: ConnectionInfo,
    /// Kept open, so that asking costs one round trip.
    connection: Mutex<Option<Driven>>,
    quarantine: Arc<Quarantine>,
    /// It answered in time when last asked. Requests in a hurry don't wait for others.
    is_prompt: AtomicBool,
}

/// The master according to a Sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MasterAddress {
    pub(crate) address: HostPort,
    /// Rises with each failover.
    pub(crate) epoch: u64,
}

/// How long the Sentinels are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A master is known already: wait only for those that answered in time before.
    Prompt,
    /// Wait until one names a master, then briefly for the others.
    First,
    /// Wait for all, up to the limit.
    All,
}

enum Refusal {
    Unknown,
    Failed(String),
}

impl Sentinels {
    pub(crate) fn new(
        options: &SentinelOptions,
        tls: Option<Arc<ClientConfig>>,
        reply_bytes: &Arc<ReplyBytes>,
    ) -> Self {
        let nodes = options.nodes.iter().map(|(address, info)| Node {
            address: address.clone(),
            info: info.clone(),
            connection: Mutex::new(None),
            quarantine: Arc::default(),
            is_prompt: AtomicBool::new(true),
        });
        Self {
            name: options.master.clone(),
            nodes: nodes.collect(),
            tls,
            reply_bytes: reply_bytes.clone(),
        }
    }

    /// Asks all in parallel and believes the highest epoch: a Sentinel that was down, or has not heard
    /// of the failover yet, names the old master.
    pub(crate) async fn ask(&self, patience: Patience) -> Result<MasterAddress, NoMaster> {
        let mut prompt: Vec<_> = self.nodes.iter().filter(|node| node.is_prompt()).collect();
        let mut asked: FuturesUnordered<_> = self
            .nodes
            .iter()
            .map(|node| async move { (node, node.ask(self).await) })
            .collect();
        let start = Instant::now();
        let mut deadline = match patience {
            Patience::Prompt => start + GRACE,
            Patience::First | Patience::All => start + ANSWER_LIMIT * 2,
        };
        let mut best: Option<MasterAddress> = None;
        let (mut unknown, mut reasons) = (0, Vec::new());
        loop {
            let is_enough = match patience {
                Patience::Prompt => prompt.is_empty(),
                Patience::First => prompt.is_empty() && best.is_some(),
                Patience::All => false,
            };
            if is_enough {
                break;
            }
            let Ok(next) = timeout_at(deadline, asked.next()).await else {
                for late in prompt {
                    late.is_prompt.store(false, Ordering::Relaxed);
                }
                break;
            };
            let Some((node, answer)) = next else { break };
            prompt.retain(|waited_for| !std::ptr::eq(*waited_for, node));
            match answer {
                Ok(named) => {
                    if patience == Patience::First {
                        deadline = deadline.min(Instant::now() + GRACE);
                    }
                    best = best.filter(|best| best.epoch >= named.epoch).or(Some(named));
                }
                Err(Refusal::Unknown) => {
                    unknown += 1;
                    reasons.push(format!("{}: knows no master of that name", node.address));
                }
                Err(Refusal::Failed(reason)) => reasons.push(format!("{}: {reason}", node.address)),
            }
        }
        best.ok_or_else(|| self.no_master(reasons, unknown > 0))
    }

    fn no_master(&self, mut reasons: Vec<String>, is_unknown: bool) -> NoMaster {
        for node in &self.nodes {
            let begin = format!("{}: ", node.address);
            if !reasons.iter().any(|reason| reason.starts_with(&begin)) {
                reasons.push(format!("{begin}no answer yet"));
            }
        }
        reasons.sort();
        let (name, reasons) = (self.name.clone(), reasons.join("; "));
        match is_unknown {
            true => NoMaster::Unknown { name, asked: reasons },
            false => NoMaster::Unreachable { name, reasons },
        }
    }
}

impl Node {
    fn is_prompt(&self) -> bool {
        self.is_prompt.load(Ordering::Relaxed)
    }

    async fn ask(&self, sentinels: &Sentinels) -> Result<MasterAddress, Refusal> {
        let start = Instant::now();
        let asked = async {
            let master = &sentinels.name;
            let (mut connection, is_reused) = self.connection(sentinels).await?;
            match query_master(&mut connection, master).await {
                // An idle connection may have ended long ago.
                Err(error) if is_reused && error.is_io_error() => {
                    *self.lock() = None;
                    query_master(&mut self.connection(sentinels).await?.0, master).await
                }
                answer => answer,
            }
        };
        let answer = match timeout(ANSWER_LIMIT, asked).await {
            Ok(Ok(Some(named))) => Ok(named),
            Ok(Ok(None)) => Err(Refusal::Unknown),
            Ok(Err(error)) => Err(Refusal::Failed(describe(&error))),
            Err(_) => Err(Refusal::Failed(format!("no answer within {ANSWER_LIMIT:?}"))),
        };
        match answer {
            Err(Refusal::Failed(_)) => *self.lock() = None,
            _ => self.quarantine.lift(),
        }
        self.is_prompt.store(start.elapsed() < GRACE, Ordering::Relaxed);
        answer
    }

    /// The open connection, or a new one, and whether it was reused.
    async fn connection(&self, sentinels: &Sentinels) -> Result<(Driven, bool), RedisError> {
        if let Some(open) = self.lock().clone() {
            return Ok((open, true));
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_LIMIT));
        if let Some(reason) = self.quarantine.reason(Instant::now().into_std()) {
            return Err(std::io::Error::other(reason).into());
        }
        let server = format!("the Sentinel at {}", self.address);
        let (tls, bytes) = (sentinels.tls.as_ref(), &sentinels.reply_bytes);
        let stream = stream::open(&self.info, tls, bytes, &self.quarantine, server).await?;
        let opened = Driven::start(self.info.redis_settings(), stream, &config).await?;
        *self.lock() = Some(opened.clone());
        Ok((opened, false))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Driven>> {
        // The value is replaced whole.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET-MASTER-ADDR-BY-NAME` gives the address: in a failover it switches before `MASTER` does.
async fn query_master(connection: &mut Driven, master: &str) -> Result<Option<MasterAddress>, RedisError> {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    pipe.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    pipe.cmd("SENTINEL").arg("MASTER").arg(master);
    let (address, details): (Value, Value) = pipe.query_async(connection).await?;
    let address: Option<(String, u16)> = redis::from_redis_value(address.extract_error()?)?;
    let Some((host, port)) = address else { return Ok(None) };
    // Without the right to ask for details, a Sentinel counts less than the others.
    let details: HashMap<String, String> = redis::from_redis_value(details).unwrap_or_default();
    let epoch = details.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    Ok(Some(MasterAddress {
        address: HostPort { host, port },
        epoch: epoch.unwrap_or(0),
    }))
}

fn describe(error: &RedisError) -> String {
    let fix = match error.kind() {
        ErrorKind::AuthenticationFailed => "; check redis.sentinel.username and redis.sentinel.password",
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "; give the Sentinels' user the commands sentinel|get-master-addr-by-name and sentinel|master"
        }
        _ if error.code() == Some("NOAUTH") => "; set redis.sentinel.password",
        _ if error.to_string().to_ascii_lowercase().contains("unknown command") => {
            "; this is not a Sentinel: Sentinels usually listen on port 26379"
        }
        _ => super::error::tls_fix(error),
    };
    format!("{}{fix}", shown(&error.to_string()))
}
