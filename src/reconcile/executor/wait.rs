//! Waits until the events of a switch confirm a command.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::switch::{Switch, Unknown};
use crate::gateway::GatewayName;

/// Waits for a killed gateway's `gateway_delete`; false if it is still there after `limit`.
pub(super) async fn is_gone(switch: &impl Switch, gateway: &GatewayName, limit: Duration) -> Result<bool, Unknown> {
    until(switch, limit, || Ok(switch.instance(gateway)?.is_none())).await
}

/// Waits for the `gateway_add` of each started gateway, so that its revision is recorded on the new
/// instance and the next plan does not start it again. Each comes with its instance from before the start.
pub(super) async fn await_start(switch: &impl Switch, gateways: &[(&GatewayName, Option<u64>)], limit: Duration) {
    // Each gateway is looked for until it is there, and then no more: there may be thousands.
    let mut left = gateways.iter().peekable();
    let all_new = || {
        while let Some((gateway, before)) = left.peek() {
            let now = switch.instance(gateway)?;
            if now.is_none() || now == *before {
                return Ok(false);
            }
            left.next();
        }
        Ok(true)
    };
    if until(switch, limit, all_new).await == Ok(false) {
        // FreeSWITCH refused it, or its event was lost.
        switch.survey_soon();
    }
}

/// Waits until `condition` holds; false after `limit`.
async fn until(
    switch: &impl Switch,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool, Unknown>,
) -> Result<bool, Unknown> {
    let deadline = Instant::now() + limit;
    let mut changed = switch.changed();
    loop {
        changed.mark_unchanged();
        if condition()? {
            return Ok(true);
        }
        if timeout_at(deadline, changed.changed()).await.is_err() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests;
