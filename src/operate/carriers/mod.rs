//! What happens at each carrier: its gateways, REGISTERs, refusals and calls, over all switches.

mod model;
mod of_status;
mod recent;
mod sums;

use std::borrow::Cow;
use std::sync::Arc;

pub use model::{CarrierList, CarrierOnSwitch, CarrierStatus, Carriers, OutOnSwitch, RegisterRate};
pub(in crate::operate) use of_status::of_status;
pub(in crate::operate) use recent::{RecentRegisters, RegistersBySwitch};
pub(in crate::operate) use sums::{Member, Sources, sum};

use super::listing::{Item, Known};
use super::service::Service;
use super::{Caller, OperateError};
use crate::carriers::Carriers as KnownCarriers;

/// Carriers in a list that doesn't say how many. The others are one sum.
pub const MOST_CARRIERS: usize = 100;

/// Which carriers.
#[derive(Debug, Clone)]
pub struct CarrierQuery {
    /// Only this one.
    pub name: Option<String>,
    /// At most this many are listed one by one.
    pub limit: usize,
}

impl Default for CarrierQuery {
    fn default() -> Self {
        Self {
            name: None,
            limit: MOST_CARRIERS,
        }
    }
}

impl Service {
    /// The carriers of the gateways that the caller sees: those that are out first, then those of the
    /// settings, then the largest.
    ///
    /// # Errors
    /// Redis can't be read, and no gateways are known.
    pub async fn carriers(&self, caller: &Caller, query: &CarrierQuery) -> Result<Carriers, OperateError> {
        let visible = caller.clone();
        self.carriers_where(query, caller.sees_all(), move |domain| visible.sees_in(domain))
            .await
    }

    /// For Prometheus: those of the settings, and the largest of the others.
    ///
    /// # Errors
    /// As [`Service::carriers`].
    pub(in crate::operate) async fn most_carriers(&self) -> Result<CarrierList, OperateError> {
        let query = CarrierQuery {
            name: None,
            limit: self.settings.carriers.len() + MOST_CARRIERS,
        };
        Ok(self.carriers_where(&query, true, |_| true).await?.list)
    }

    /// `sees` says whose gateways count, by their domain.
    async fn carriers_where(
        &self,
        query: &CarrierQuery,
        sees_all: bool,
        sees: impl Fn(Option<&str>) -> bool + Send + 'static,
    ) -> Result<Carriers, OperateError> {
        self.catch_up().await?;
        let (notes, calls) = (self.notes().await?, self.known_calls().await);
        let registers = self.recent_registers().await;
        let (listing, query) = (self.listing().clone(), query.clone());
        let carriers = KnownCarriers::new(&self.settings.carriers);
        let summing = tokio::task::spawn_blocking(move || {
            let known = listing.read();
            let sources = Sources {
                carriers: &carriers,
                reports: notes.reports().map(|(switch, report)| (&**switch, report)).collect(),
                registers: &registers,
                calls: calls.as_deref(),
                sees_all,
            };
            Carriers {
                list: sum(members(&known, sees), &sources, &query),
                stale_since: known.stale_since(),
            }
        });
        summing.await.map_err(|_| OperateError::Interrupted)
    }

    /// What gateways sent and were answered lately; the last known while Redis can't be read.
    pub(in crate::operate) async fn recent_registers(&self) -> Arc<RegistersBySwitch> {
        if self.stale_since().is_some() {
            return self.registers.last().await;
        }
        let switches: Vec<_> = {
            let known = self.listing().read();
            known.fleet.switches().map(|(name, _)| name.to_string()).collect()
        };
        self.registers.read(&self.store, &switches).await
    }
}

/// The gateways that are served.
fn members(known: &Known, sees: impl Fn(Option<&str>) -> bool) -> Vec<Member<'_>> {
    fn member(item: &Item) -> Option<Member<'_>> {
        let carrier = item.carrier.as_deref()?;
        Some(Member {
            carrier: Cow::Borrowed(carrier),
            gateway: &item.name,
            on: item.on.iter().map(|on| (&*on.switch, on.condition)).collect(),
            is_on_one: item.is_on_one(),
        })
    }
    let items = known.index.items().values();
    items
        .filter(|item| sees(item.domain.as_deref()))
        .filter_map(member)
        .collect()
}
