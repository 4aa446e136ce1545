//! Asking the Sentinels where the master is.
//!
//! The client library has a Sentinel client of its own. It asks one Sentinel after the other, each with its full time-out, so that one whose
//! machine is away would cost a request more than it has; and it believes the first that answers, where another may know of a newer failover.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout, timeout_at};

use super::options::SentinelOptions;
use super::quarantine::Quarantine;
use super::stream::{self, Coming, Driven};
use crate::settings::HostPort;
use crate::shown::shown;

/// For the answer of one Sentinel, connection included.
const ANSWER: Duration = Duration::from_secs(1);
/// So much later than the first one the others may answer, whoever waits. They stand side by side, and answer from memory.
const GRACE: Duration = Duration::from_millis(100);

pub(crate) struct Sentinels {
    /// What they call the master.
    name: String,
    nodes: Vec<Node>,
    /// Of those that are spoken to by TLS.
    tls: Option<Arc<ClientConfig>>,
    coming: Arc<Coming>,
}

struct Node {
    address: HostPort,
    info: ConnectionInfo,
    /// Kept open, so that asking costs one round trip.
    connection: Mutex<Option<Driven>>,
    quarantine: Arc<Quarantine>,
    /// It answered in time when it was last waited for; else nobody who is in a hurry waits for it.
    is_prompt: AtomicBool,
}

/// The master, as the Sentinels name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) address: HostPort,
    /// Rises with each failover.
    pub(crate) epoch: u64,
}

/// How long the Sentinels are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Where a master is known already: only for those that mostly answer at once.
    Least,
    /// Until one has named a master, and then for those.
    Little,
    /// Until each has answered, or had its time.
    Full,
}

/// Why no Sentinel names a master. Each is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoMaster {
    /// All that answer know none of that name.
    Unknown { name: String, asked: String },
    /// None can be asked.
    Unreachable { name: String, reasons: String },
}

impl fmt::Display for NoMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, asked } => write!(
                f,
                "no Sentinel knows a master named {name:?} ({asked}): check redis.sentinel.master; `SENTINEL MASTERS` lists those that a Sentinel knows"
            ),
            Self::Unreachable { name, reasons } => write!(
                f,
                "no Sentinel can be asked for the master {name:?} ({reasons}): check redis.sentinel.nodes, and that the Sentinels run"
            ),
        }
    }
}

enum Refusal {
    Unknown,
    Failed(String),
}

impl Sentinels {
    pub(crate) fn new(options: &SentinelOptions, tls: Option<Arc<ClientConfig>>, coming: &Arc<Coming>) -> Self {
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
            coming: coming.clone(),
        }
    }

    /// Asks them all at once. Of those that answer, the one with the newest configuration is believed: a Sentinel that was away, or has not heard yet,
    /// names the master before.
    pub(crate) async fn ask(&self, patience: Patience) -> Result<Named, NoMaster> {
        let mut prompt: Vec<_> = self.nodes.iter().filter(|node| node.is_prompt()).collect();
        let mut asked: FuturesUnordered<_> = self
            .nodes
            .iter()
            .map(|node| async move { (node, node.ask(self).await) })
            .collect();
        let start = Instant::now();
        let mut deadline = match patience {
            Patience::Least => start + GRACE,
            Patience::Little | Patience::Full => start + ANSWER * 2,
        };
        let mut best: Option<Named> = None;
        let (mut unknown, mut reasons) = (0, Vec::new());
        loop {
            let is_enough = match patience {
                Patience::Least => prompt.is_empty(),
                Patience::Little => prompt.is_empty() && best.is_some(),
                Patience::Full => false,
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
                    if patience == Patience::Little {
                        deadline = deadline.min(Instant::now() + GRACE);
                    }
                    best = best.filter(|best| best.epoch >= named.epoch).or(Some(named));
                }
                Err(Refusal::Unknown) => {
                    unknown += 1;
                    reasons.push(format!("{}: knows none of that name", node.address));
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

    async fn ask(&self, sentinels: &Sentinels) -> Result<Named, Refusal> {
        let start = Instant::now();
        let asked = async {
            let master = &sentinels.name;
            let (mut connection, is_kept) = self.connection(sentinels).await?;
            match question(&mut connection, master).await {
                // One that was kept may have ended long ago.
                Err(error) if is_kept && error.is_io_error() => {
                    *self.lock() = None;
                    question(&mut self.connection(sentinels).await?.0, master).await
                }
                answer => answer,
            }
        };
        let answer = match timeout(ANSWER, asked).await {
            Ok(Ok(Some(named))) => Ok(named),
            Ok(Ok(None)) => Err(Refusal::Unknown),
            Ok(Err(error)) => Err(Refusal::Failed(describe(&error))),
            Err(_) => Err(Refusal::Failed(format!("no answer within {ANSWER:?}"))),
        };
        match answer {
            Err(Refusal::Failed(_)) => *self.lock() = None,
            _ => self.quarantine.lift(),
        }
        self.is_prompt.store(start.elapsed() < GRACE, Ordering::Relaxed);
        answer
    }

    /// The connection that is kept, or a new one; and which it is.
    async fn connection(&self, sentinels: &Sentinels) -> Result<(Driven, bool), RedisError> {
        if let Some(kept) = self.lock().clone() {
            return Ok((kept, true));
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
        if let Some(reason) = self.quarantine.reason(Instant::now().into_std()) {
            return Err(std::io::Error::other(reason).into());
        }
        let (quarantine, server) = (self.quarantine.clone(), format!("the Sentinel at {}", self.address));
        let on_refusal =
            move |refusal: &_| quarantine.impose(&server, &format!("{refusal}"), Instant::now().into_std());
        let stream = stream::open(&self.info, sentinels.tls.as_ref(), &sentinels.coming, on_refusal).await?;
        let opened = Driven::start(self.info.redis_settings(), stream, &config).await?;
        *self.lock() = Some(opened.clone());
        Ok((opened, false))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Driven>> {
        // The value is replaced whole.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address comes from the question that clients are meant to ask: in a failover it is the promoted one's before the details are.
async fn question(connection: &mut Driven, master: &str) -> Result<Option<Named>, RedisError> {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    pipe.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    pipe.cmd("SENTINEL").arg("MASTER").arg(master);
    let (address, details): (Value, Value) = pipe.query_async(connection).await?;
    let address: Option<(String, u16)> = redis::from_redis_value(address.extract_error()?)?;
    let Some((host, port)) = address else { return Ok(None) };
    // A Sentinel whose user may not ask that is believed less than the others.
    let details: HashMap<String, String> = redis::from_redis_value(details).unwrap_or_default();
    let epoch = details.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    Ok(Some(Named {
        address: HostPort { host, port },
        epoch: epoch.unwrap_or(0),
    }))
}

fn describe(error: &RedisError) -> String {
    let mend = match error.kind() {
        ErrorKind::AuthenticationFailed => "; check redis.sentinel.username and redis.sentinel.password",
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "; give that user of the Sentinels sentinel|get-master-addr-by-name and sentinel|master"
        }
        _ if error.code() == Some("NOAUTH") => "; set redis.sentinel.password",
        _ if error.to_string().to_ascii_lowercase().contains("unknown command") => {
            "; this is no Sentinel: they mostly listen on port 26379"
        }
        _ => super::link::tls_mend(error),
    };
    format!("{}{mend}", shown(&error.to_string()))
}
