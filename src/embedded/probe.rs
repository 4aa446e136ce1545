//! Asks the server that listens on the socket who it is, and whether it is ready.

use std::time::Duration;

use redis::{InfoDict, RedisError};
use tokio::time::timeout;

use super::paths::Paths;

/// A slower reply counts as none.
const REPLY_LIMIT: Duration = Duration::from_secs(2);

/// What a server reports about itself.
pub(super) struct ServerInfo {
    pub(super) process: String,
    pub(super) is_loading: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("no reply within {REPLY_LIMIT:?}")]
    Timeout,
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl ProbeError {
    /// Whether the server answered, if only with an error such as BUSY.
    pub(super) fn is_reply(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code().is_some())
    }
}

/// Asks on a new connection: only that proves that others can connect.
pub(super) async fn probe(paths: &Paths) -> Result<ServerInfo, ProbeError> {
    let info = async {
        let client = redis::Client::open(paths.connection())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        // Also allowed while the server loads its file.
        let info: InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
        Ok(ServerInfo {
            process: info.get("process_id").unwrap_or_default(),
            is_loading: info.get("loading").unwrap_or(false),
        })
    };
    timeout(REPLY_LIMIT, info).await.map_err(|_| ProbeError::Timeout)?
}
