//! Which set of files wrote a gateway last. [`History::edit_in_set`](crate::history::History::edit_in_set)
//! remembers it, and every deletion forgets it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::gateway::{DomainName, GatewayName};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Limit of reading or marking all of them: 100,000 take some 0.2 s.
const SETS_TIMEOUT: Duration = Duration::from_secs(10);
/// Members per command.
const CHUNK: usize = 1000;

impl Store {
    /// The gateways that this set wrote last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn members_of_set(&self, set: &str) -> Result<BTreeSet<(DomainName, GatewayName)>, StoreError> {
        let members: Vec<(String, String)> = self
            .read("read sets", SETS_TIMEOUT, async |connection| {
                redis::cmd("HGETALL").arg(keys::SETS).query_async(connection).await
            })
            .await?;
        let of_set = members.into_iter().filter(|(_, of)| of == set);
        Ok(of_set.filter_map(|(member, _)| parse(&member)).collect())
    }

    /// Remembers the set for gateways that it would not have changed.
    ///
    /// # Errors
    /// [`StoreError`]. Then some may be remembered, and the others are not.
    pub async fn add_to_set(&self, set: &str, members: &[(DomainName, GatewayName)]) -> Result<(), StoreError> {
        self.write("remember a set", SETS_TIMEOUT, async |connection| {
            for part in members.chunks(CHUNK) {
                let mut command = redis::cmd("HSET");
                command.arg(keys::SETS);
                for (domain, name) in part {
                    command.arg(format!("{domain}/{name}")).arg(set);
                }
                let () = command.query_async(connection).await?;
            }
            Ok(())
        })
        .await
    }
}

/// A gateway's name has no slash.
fn parse(member: &str) -> Option<(DomainName, GatewayName)> {
    let (domain, name) = member.rsplit_once('/')?;
    Some((DomainName::from_text(domain), GatewayName::parse(name).ok()?))
}
