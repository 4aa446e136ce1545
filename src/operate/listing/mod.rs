//! Lists of gateways: what Redis wants and what the switches do, in memory, so that a page of 100,000
//! gateways costs what it shows.
//!
//! Nothing is read until somebody asks for the first time. From then on, each question reads what
//! changed since the last.

mod answer;
mod fleet;
mod index;
mod item;
mod one_switch;
mod query;
mod select;
#[cfg(test)]
mod tests;

pub(super) use answer::may_see;
pub use answer::{Counts, DomainSummary, ListedGateway, Page, SwitchSummary};
pub use fleet::Fleet;
pub use index::Index;
pub use item::ListState;
pub(super) use one_switch::on_switch;
pub use query::{Cursor, Direction, ListQuery, QueryError, Sort};

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fleet::Changed;

use super::OperateError;
use super::service::Service;
use crate::desired::Current;

/// What lists are made from. Shared by all requests.
#[derive(Default)]
pub(super) struct Listing {
    /// One reader of Redis at a time. The others usually find everything read.
    reading: tokio::sync::Mutex<()>,
    known: RwLock<Known>,
}

/// The last known state of everything.
#[derive(Default)]
pub(super) struct Known {
    pub(super) fleet: Fleet,
    pub(super) index: Index,
    pub(super) current: Option<Current>,
    /// What changed since live events were last made. Kept while somebody listens.
    unsaid: Option<Changed>,
}

impl Listing {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Known> {
        // A panic while it is changed leaves it whole: each part is replaced.
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Reads what changed since the last time, and brings the lists up to date.
    ///
    /// # Errors
    /// Redis can't be read, and no gateways are known.
    pub(super) async fn catch_up(&self) -> Result<(), OperateError> {
        let _alone = self.listing.reading.lock().await;
        let current = self
            .catalog
            .all()
            .await
            .map_err(OperateError::unavailable(&self.settings))?;
        let position = self.listing.read().fleet.position().cloned();
        let update = fleet::read(&self.store, position.as_ref()).await;
        let update = match update {
            Ok(update) => update,
            // The states stay as they were; the answer says how old the gateways are.
            Err(_) if current.stale.is_some() => fleet::Update::default(),
            Err(error) => return Err(OperateError::unreadable(&self.settings, error)),
        };
        let listing = self.listing.clone();
        // Up to 100,000 gateways are compared.
        let done = tokio::task::spawn_blocking(move || {
            let mut known = listing.write();
            let known = &mut *known;
            let changed = known.fleet.apply(update);
            known.index.update(&current, &known.fleet, &changed);
            known.current = Some(current);
            if let Some(unsaid) = &mut known.unsaid {
                unsaid.add(changed);
            }
        });
        done.await.map_err(|_| OperateError::Interrupted)
    }

    /// What changed since the last call, and the position in `trunkd:changes` that this goes up to. The
    /// first call begins to remember.
    pub(super) fn take_unsaid(&self) -> (Changed, String) {
        let mut known = self.listing.write();
        let position = known.fleet.position().map(|at| at.as_str().to_owned());
        let changed = known.unsaid.replace(Changed::default()).unwrap_or_default();
        (changed, position.unwrap_or_else(|| "0-0".to_owned()))
    }

    /// Nobody listens any more.
    pub(super) fn forget_unsaid(&self) {
        self.listing.write().unsaid = None;
    }

    pub(super) fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }
}
