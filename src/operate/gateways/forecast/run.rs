//! Reads what a forecast is made from.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use tokio::task::spawn_blocking;

use super::super::super::held::held_for;
use super::super::super::service::Service;
use super::super::super::{Caller, OperateError};
use super::{Here, Limited, Seen, SwitchForecast, forecast};
use crate::carriers::Carriers;
use crate::desired::Current;
use crate::gateway::{Desired, GatewayName, Rules};
use crate::reconcile::Limits;
use crate::redis::StoreError;

impl Service {
    /// What a forecast is made from. Read before anything is written, so that it can't fail afterwards.
    pub(in crate::operate) async fn seen(&self) -> Result<Seen, OperateError> {
        let away = OperateError::at(&self.settings);
        self.catch_up().await?;
        let notes = self.status.notes().await.map_err(away)?;
        let configured = self.settings.switches.iter().map(|switch| switch.name.clone());
        let mut names: BTreeSet<String> = configured.collect();
        let pool = {
            let known = self.listing().read();
            names.extend(known.fleet.switches().map(|(name, _)| name.to_string()));
            let seen = known.fleet.switches().map(|(name, rows)| (&**name, rows.watched));
            notes.pool(&self.settings, seen)
        };
        let switches = try_join_all(names.into_iter().map(|name| self.here(name))).await;
        Ok(Seen {
            switches: switches.map_err(away)?,
            notes,
            pool,
        })
    }

    async fn here(&self, name: String) -> Result<Here, StoreError> {
        let window = self.settings.reconcile.removals_window;
        let recent = self.store.read_removals(&name, window).await?;
        let recent = recent
            .into_iter()
            .filter_map(|(name, _)| GatewayName::parse(&name).ok());
        Ok(Here {
            recent: recent.collect(),
            name,
        })
    }

    /// What every switch does if `after` makes this of the present state.
    pub(in crate::operate) async fn forecast(
        &self,
        caller: &Caller,
        current: Current,
        seen: Seen,
        after: impl FnOnce(&Current, &Rules) -> Desired + Send + 'static,
    ) -> Result<Vec<SwitchForecast>, OperateError> {
        let (listing, rules) = (self.listing().clone(), self.catalog.rules());
        let carriers = Carriers::new(&self.settings.carriers);
        let reconcile = self.settings.reconcile.clone();
        let working = spawn_blocking(move || {
            let after = after(&current, &rules);
            let fleet = &listing.read().fleet;
            let limits = Limited {
                removals: Limits {
                    max_removals: reconcile.max_removals,
                },
                carriers: &carriers,
                starts_per_second: reconcile.starts_per_second,
            };
            forecast(&current, &after, seen, fleet, &limits)
        });
        let mut all = working.await.map_err(|_| OperateError::Interrupted)?;
        for forecast in &mut all {
            forecast.held = held_for(caller, forecast.held.take());
        }
        Ok(all)
    }
}
