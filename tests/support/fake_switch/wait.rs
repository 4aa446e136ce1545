//! How a test looks at a FakeSwitch, and waits for what it should see.

use super::FakeSwitch;
use super::view::View;
use std::time::Duration;

/// How long to wait for a condition: far longer than any takes on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

impl FakeSwitch {
    /// Inspects everything under one lock.
    pub fn view<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        self.shared.read(|core| look(&View { core }))
    }

    /// Waits until a condition holds; checks it at each change. Panics after 20 s with `what` and the state of things.
    pub async fn wait_until(&self, what: &str, mut holds: impl FnMut(&View) -> bool) {
        let mut version = self.shared.version.subscribe();
        let changed = async {
            while !self.view(&mut holds) {
                if version.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(DEADLINE, changed).await.is_err() {
            panic!(
                "waited {DEADLINE:?} in vain until {what}. {}",
                self.view(|view| view.summary())
            );
        }
    }

    pub async fn wait_for_state(&self, gateway: &str, state: &str) {
        self.wait_until(&format!("{gateway} is {state}"), |view| {
            view.state(gateway) == Some(state)
        })
        .await;
    }

    /// Waits until no gateway of that name is left, not even one marked for deletion.
    pub async fn wait_for_gone(&self, gateway: &str) {
        self.wait_until(&format!("{gateway} is gone"), |view| view.all(gateway).is_empty())
            .await;
    }

    /// Waits until this many authenticated connections are up.
    pub async fn wait_for_connections(&self, n: usize) {
        self.wait_until(&format!("{n} connections are up"), |view| {
            view.connections()
                .iter()
                .filter(|connection| connection.authenticated)
                .count()
                == n
        })
        .await;
    }

    /// Waits until every fired event was written to its subscribers, except stalled connections.
    pub async fn wait_for_delivery(&self) {
        self.wait_until("all events are delivered", |view| view.delivered())
            .await;
    }
}
