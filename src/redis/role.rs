//! What a server is: a master, a replica, or something that trunkd can't work with.

use std::collections::HashMap;

use redis::aio::ConnectionLike;
use redis::{RedisError, Value};

use super::error::ConnectError;

/// The answer to `ROLE`. PING doesn't tell: a demoted master keeps answering it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedisRole {
    Master,
    Replica { of: String },
}

impl RedisRole {
    pub(crate) fn of(answer: &Value) -> Self {
        let items = match answer {
            Value::Array(items) => &items[..],
            _ => &[],
        };
        let word = |at: usize| {
            let item = items.get(at)?;
            redis::from_redis_value_ref::<String>(item).ok()
        };
        match (word(0).as_deref(), word(1), word(2)) {
            (Some("master"), ..) => Self::Master,
            (_, Some(host), Some(port)) => Self::Replica {
                of: format!("{host}:{port}"),
            },
            _ => Self::Replica {
                of: "another".to_owned(),
            },
        }
    }
}

/// Asks a server what it is, with commands that a restricted user has. The inner error is Redis
/// refusing `ROLE`.
pub(crate) async fn identify(
    connection: &mut impl ConnectionLike,
) -> Result<Result<RedisRole, RedisError>, ConnectError> {
    let (hello, role): (Value, Value) = redis::pipe()
        .ignore_errors()
        .cmd("HELLO")
        .cmd("ROLE")
        .query_async(connection)
        .await?;
    let mode = match hello.extract_error() {
        Ok(hello) => mode_of_hello(hello),
        // Redis before 6 has no HELLO.
        Err(_) => {
            let info: Result<String, RedisError> = redis::cmd("INFO").arg("cluster").query_async(connection).await;
            mode_of_info(info.ok())
        }
    };
    check_mode(mode.as_deref())?;
    Ok(role.extract_error().map(|role| RedisRole::of(&role)))
}

/// `standalone`, `cluster` or `sentinel`.
pub(crate) fn mode_of_hello(hello: Value) -> Option<String> {
    let hello: HashMap<String, Value> = redis::from_redis_value(hello).ok()?;
    redis::from_redis_value_ref(hello.get("mode")?).ok()
}

pub(crate) fn mode_of_info(info: Option<String>) -> Option<String> {
    let is_cluster = info.is_some_and(|info| info.contains("cluster_enabled:1"));
    is_cluster.then(|| "cluster".to_owned())
}

/// # Errors
/// The mode is one that trunkd can't work with.
pub(crate) fn check_mode(mode: Option<&str>) -> Result<(), ConnectError> {
    const CLUSTER: &str = "Redis Cluster is not supported, because its nodes report changes and run scripts \
                           separately: use a standalone Redis, or one with replicas and Sentinel (redis.sentinel)";
    const SENTINEL: &str = "this is a Sentinel, which holds no gateways: name it in redis.sentinel.nodes, and its \
                            master in redis.sentinel.master";
    match mode {
        Some("cluster") => Err(ConnectError::Unsupported(CLUSTER.to_owned())),
        Some("sentinel") => Err(ConnectError::Unsupported(SENTINEL.to_owned())),
        _ => Ok(()),
    }
}
