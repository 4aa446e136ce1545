//! The removals that all trunkd know of: what the guard remembers, and Redis keeps.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::control::Removal;
use crate::gateway::{Desired, GatewayName};
use crate::reconcile::served::Served;
use crate::redis::{Store, StoreError};

/// Of the switches of the settings. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    store: Store,
    served: Arc<Served>,
    window: Duration,
}

impl Ledger {
    pub fn new(store: Store, served: Arc<Served>, window: Duration) -> Self {
        Self { store, served, window }
    }

    /// What a switch that asks is to be given, now that Redis wants `newest`. What it loses by that, other trunkd know before it has it.
    pub async fn answer(&self, switch: &str, newest: &Arc<Desired>) -> Arc<Desired> {
        if self.served.may_lose(switch, newest) {
            self.read(switch).await;
        }
        let given = self.served.answer(switch, newest, Instant::now());
        self.share(switch).await;
        given
    }

    /// Learns which gateways went within the window. False when Redis could not be asked.
    pub async fn read(&self, switch: &str) -> bool {
        self.note(switch, self.store.read_removals(switch, self.window).await)
    }

    /// Writes down that these go now. False when they could not be: then they must not.
    pub async fn record(&self, switch: &str, gateways: &[GatewayName]) -> bool {
        let gone: Vec<_> = gateways
            .iter()
            .map(|gateway| (gateway.to_string(), Duration::ZERO))
            .collect();
        self.write(switch, &gone).await
    }

    /// Writes down what only this trunkd knows of. False when that is something, and could not be.
    pub async fn share(&self, switch: &str) -> bool {
        let gone = self.served.unshared_removals(switch, Instant::now());
        gone.is_empty() || self.write(switch, &gone).await
    }

    async fn write(&self, switch: &str, gone: &[Removal]) -> bool {
        self.note(switch, self.store.record_removals(switch, gone, self.window).await)
    }

    fn note(&self, switch: &str, gone: Result<Vec<Removal>, StoreError>) -> bool {
        let Ok(gone) = gone else { return false };
        let parsed = |(gateway, age): Removal| Some((GatewayName::parse(&gateway).ok()?, age));
        let gone: Vec<_> = gone.into_iter().filter_map(parsed).collect();
        self.served.note_removals(switch, &gone, Instant::now());
        true
    }
}
