//! Hashes, bytes and times from Redis.

use std::collections::HashMap;

use jiff::Timestamp;
use redis::RedisError;
use redis::aio::MultiplexedConnection;

/// Fields per command: other clients wait about a millisecond. A hash of 100,000 in one reply takes a
/// tenth of a second, in which FreeSWITCH's requests wait too.
const FIELDS: usize = 1000;

/// A hash as Redis sends it. Bytes, so that one value with invalid UTF-8 does not cost the others.
pub(super) type Pairs = HashMap<Vec<u8>, Vec<u8>>;

/// A whole hash, in parts. A field that is written meanwhile is read before or after that.
pub(super) async fn read_hash(connection: &mut MultiplexedConnection, key: &str) -> Result<Pairs, RedisError> {
    let names: Vec<Vec<u8>> = redis::cmd("HKEYS").arg(key).query_async(connection).await?;
    let mut pairs = Pairs::with_capacity(names.len());
    for names in names.chunks(FIELDS) {
        let mut read = redis::cmd("HMGET");
        let values: Vec<Option<Vec<u8>>> = read.arg(key).arg(names).query_async(connection).await?;
        let found = names.iter().zip(values);
        pairs.extend(found.filter_map(|(name, value)| Some((name.clone(), value?))));
    }
    Ok(pairs)
}

pub(super) fn texts(pairs: Pairs) -> HashMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// RFC 3339 with milliseconds.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}
