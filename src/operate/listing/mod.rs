//! Lists of gateways: what Redis wants and what the switches do, in memory, so that a page of 100,000
//! gateways costs what it shows.
//!
//! Nothing is read until somebody asks for the first time. From then on, each question reads what
//! changed since the last.

mod answer;
mod choices;
mod counts;
mod fleet;
mod index;
mod item;
mod known;
mod named;
mod one_switch;
mod query;
mod select;
mod status;
#[cfg(test)]
mod tests;

pub use answer::{DomainSummary, Domains, ListedGateway, Page, SwitchSummary, Switches};
pub use choices::{Choices, Offers};
pub use counts::Counts;
pub use fleet::Fleet;
pub use index::Index;
pub(super) use item::Item;
pub use item::ListState;
pub(super) use known::{Known, Listing};
pub(super) use one_switch::on_switch;
pub use query::{Cursor, Direction, ListQuery, QueryError, Sort};

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

pub(super) use fleet::Changed;
use one_switch::seen;

use super::service::Service;
use super::status::{Switch, SwitchNotes};
use super::{Caller, OperateError};
use crate::desired::Current;

impl Service {
    /// Reads what changed since the last time, and brings the lists up to date.
    ///
    /// # Errors
    /// Redis can't be read, and no gateways are known.
    pub(super) async fn catch_up(&self) -> Result<(), OperateError> {
        let _alone = self.listing.reading.lock().await;
        let asked = Timestamp::now();
        let current = self
            .catalog
            .all()
            .await
            .map_err(OperateError::unavailable(&self.settings))?;
        let position = self.listing.read().fleet.position().cloned();
        let update = match (&current.stale, &position) {
            // The states stay as they were; the answer says how old they are.
            (Some(_), Some(_)) => fleet::Update::default(),
            _ => match fleet::read(&self.store, position.as_ref()).await {
                Ok(update) => update,
                // A command shows the gateways alone.
                Err(_) if current.stale.is_some() && !self.catalog.is_tracking() => fleet::Update::default(),
                Err(error) => return Err(OperateError::unreadable(&self.settings, error)),
            },
        };
        let listing = self.listing.clone();
        // Up to 100,000 gateways are compared.
        let done = tokio::task::spawn_blocking(move || {
            let mut known = listing.write();
            let known = &mut *known;
            if current.stale.is_none() {
                known.read_at = Some(asked);
            }
            let changed = known.fleet.apply(update);
            known.index.update(&current, &known.fleet, &changed);
            if let Some(unsaid) = &mut known.unsaid {
                unsaid.add(changed);
            }
        });
        done.await.map_err(|_| OperateError::Interrupted)
    }

    /// Reports and pauses: the last known ones while Redis can't be read.
    pub(super) async fn notes(&self) -> Result<Arc<SwitchNotes>, OperateError> {
        if self.stale_since().is_some() {
            return Ok(self.status.last_notes());
        }
        let notes = self.status.recent_notes().await;
        notes.map_err(|error| OperateError::unreadable(&self.settings, error))
    }

    /// Set if Redis could not be read the last time: the time of what is known.
    pub(in crate::operate) fn stale_since(&self) -> Option<Timestamp> {
        self.listing.read().stale_since()
    }

    /// One gateway on every switch: as of now, or as it was last known.
    ///
    /// # Errors
    /// Redis can't be read, and no states are known.
    pub(super) async fn of_gateway(
        &self,
        caller: &Caller,
        current: &Current,
        gateway: &str,
    ) -> Result<Vec<Switch>, OperateError> {
        let Some((_, error)) = &current.stale else {
            return self.status.of_gateway(caller, current, gateway).await;
        };
        let known = self.listing.read();
        if known.fleet.position().is_none() {
            return Err(OperateError::unreadable(&self.settings, error));
        }
        let notes = self.status.last_notes().for_caller(caller);
        let names = BTreeSet::from([gateway]);
        let switches = known.fleet.switches();
        Ok(switches
            .map(|(switch, _)| seen(&known, current, switch, &names, &notes))
            .collect())
    }

    /// What changed since the last call, and the position in `trunkd:changes` that this goes up to. The
    /// first call begins to remember.
    pub(super) fn take_unsaid(&self) -> (Changed, String) {
        let mut known = self.listing.write();
        let position = known.fleet.position().map(|at| at.as_str().to_owned());
        let changed = known.unsaid.replace(Changed::default()).unwrap_or_default();
        (changed, position.unwrap_or_else(|| "0-0".to_owned()))
    }

    /// It was taken, and then not said.
    pub(super) fn put_back_unsaid(&self, changed: Changed) {
        self.listing.write().unsaid.get_or_insert_default().add(changed);
    }

    /// Nobody listens any more.
    pub(super) fn forget_unsaid(&self) {
        self.listing.write().unsaid = None;
    }

    pub(super) fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }
}
