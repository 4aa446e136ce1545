//! The recent removals of each switch, shared by all trunkd instances through Redis.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::control::Removal;
use crate::gateway::{Desired, GatewayName};
use crate::reconcile::served::Served;
use crate::redis::{Store, StoreError};

/// Covers the switches in the settings. Cheap to clone.
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

    /// What to serve a switch that asks, now that Redis wants `newest`. Removals caused by this
    /// answer are shared with the other trunkd before it is sent.
    pub async fn answer(&self, switch: &str, newest: &Arc<Desired>) -> Arc<Desired> {
        if self.served.may_lose(switch, newest) {
            self.read(switch).await;
        }
        let given = self.served.answer(switch, newest, Instant::now());
        self.share(switch).await;
        given
    }

    /// Reads which gateways were removed within the window. Returns false if Redis cannot be read.
    pub async fn read(&self, switch: &str) -> bool {
        self.note(switch, self.store.read_removals(switch, self.window).await)
    }

    /// Records that these gateways are removed now. Returns false on failure; then they must not be
    /// removed.
    pub async fn record(&self, switch: &str, gateways: &[GatewayName]) -> bool {
        let gone: Vec<_> = gateways
            .iter()
            .map(|gateway| (gateway.to_string(), Duration::ZERO))
            .collect();
        self.write(switch, &gone).await
    }

    /// Records removals that only this trunkd knows of. Returns false if there are any and Redis
    /// cannot be written.
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
