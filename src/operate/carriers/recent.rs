//! REGISTERs that were counted lately, read at most every few seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::observed::Registers;
use crate::redis::{Store, StoreError};

/// How old they may be: they are sums of a minute and an hour, and reading them scans an entry of every
/// gateway that registers.
const MAX_AGE: Duration = Duration::from_secs(2);

/// By switch and gateway.
pub(in crate::operate) type RegistersBySwitch = BTreeMap<String, HashMap<String, Registers>>;

/// What was read last, and when. One reader at a time; the others find it read.
#[derive(Default)]
pub(in crate::operate) struct RecentRegisters(Mutex<Option<(Instant, Arc<RegistersBySwitch>)>>);

impl RecentRegisters {
    /// Those that were read last, however old; nothing if they never were.
    pub(in crate::operate) async fn last(&self) -> Arc<RegistersBySwitch> {
        newest(&*self.0.lock().await)
    }

    /// The last known ones if Redis can't be read.
    pub(in crate::operate) async fn read(&self, store: &Store, switches: &[String]) -> Arc<RegistersBySwitch> {
        let mut last = self.0.lock().await;
        let is_recent = last.as_ref().is_some_and(|(at, _)| at.elapsed() < MAX_AGE);
        if !is_recent && let Ok(registers) = read(store, switches).await {
            *last = Some((Instant::now(), Arc::new(registers)));
        }
        newest(&last)
    }
}

fn newest(last: &Option<(Instant, Arc<RegistersBySwitch>)>) -> Arc<RegistersBySwitch> {
    last.as_ref()
        .map(|(_, registers)| registers.clone())
        .unwrap_or_default()
}

async fn read(store: &Store, switches: &[String]) -> Result<RegistersBySwitch, StoreError> {
    let mut all = RegistersBySwitch::new();
    for switch in switches {
        all.insert(switch.clone(), store.read_registers(switch).await?);
    }
    Ok(all)
}
