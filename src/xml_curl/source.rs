//! What responses are made from, and the trait that provides it.

use std::sync::Arc;

use jiff::Timestamp;

use super::request::SofiaConfRequest;
use crate::gateway::Desired;
use crate::gateway::RevisionKey;
use crate::sofia_conf::Templates;

pub trait ConfigSource: Send + Sync + 'static {
    /// What the switch that asks is served as of now. It holds at least the gateways that are asked
    /// for, and reflects every write that Redis acknowledged before the call.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis cannot be used and no good state was ever seen. If there is one,
    /// it is returned, and its `stale_since` says how old it is.
    fn current(&self, request: &SofiaConfRequest) -> impl Future<Output = Result<CurrentConfig, Unavailable>> + Send;
}

#[derive(Debug, Clone)]
pub struct CurrentConfig {
    pub desired: Arc<Desired>,
    pub key: RevisionKey,
    pub templates: Arc<Templates>,
    /// Since when Redis cannot be read, if this is the last good state and not the present one.
    pub stale_since: Option<Timestamp>,
    /// Others are served the same state, so its documents are worth caching.
    pub is_shared: bool,
}

/// Why nothing can be served. The text is sent to the client, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);
