//! The errors of operations, which name the server as it is known now.

use std::time::Duration;

use redis::RedisError;

use super::super::error::{Cause, ConnectError, StoreError, describe};
use super::{Link, Source};
use crate::shown::shown;

impl Link {
    /// The server as messages name it.
    pub(crate) fn server_name(&self) -> String {
        match &self.source {
            Source::Fixed(info) => format!("Redis at {}", info.addr()),
            Source::Sentinel(options, _) => {
                let master = self.lock();
                let named = master.named.as_ref().map(|named| &named.address);
                match master.confirmed.as_ref().or(named) {
                    Some(address) => format!("Redis at {address}"),
                    None => format!("Redis, the master {:?}", options.master),
                }
            }
        }
    }

    pub(crate) fn timeout_error(&self, operation: &'static str, limit: Duration) -> StoreError {
        StoreError::Timeout {
            server: self.server_name(),
            operation,
            limit,
        }
    }

    /// An operation failed on a good connection.
    pub(crate) fn operation_error(&self, operation: &'static str, error: &RedisError) -> StoreError {
        let is_broken = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
        let cause = if is_broken { Cause::Broken } else { Cause::Refused };
        self.redis_error(operation, cause, describe(error, self.has_sentinels()))
    }

    pub(crate) fn redis_error(&self, operation: &'static str, cause: Cause, reason: String) -> StoreError {
        StoreError::Redis {
            server: self.server_name(),
            operation,
            cause,
            reason,
        }
    }

    pub(crate) fn connect_error(&self, operation: &'static str, error: &ConnectError) -> StoreError {
        match error {
            ConnectError::Redis(error) => {
                self.redis_error(operation, Cause::Connection, describe(error, self.has_sentinels()))
            }
            ConnectError::Explained(reason) => self.redis_error(operation, Cause::Connection, reason.clone()),
            ConnectError::Unsupported(reason) => StoreError::Unsupported(reason.clone()),
        }
    }

    /// The server that was read is a replica.
    pub(crate) fn replica_error(&self, operation: &'static str, of: &str) -> StoreError {
        let fix = match self.has_sentinels() {
            true => "a failover is under way",
            false => "point redis.url at the master",
        };
        let of = shown(of);
        let reason = format!("this is a replica of {of}, and its data may be old: {fix}");
        self.redis_error(operation, Cause::Refused, reason)
    }
}
