//! Reads which switches may get gateways.

use jiff::Timestamp;

use crate::operate::pool::SwitchPool;
use crate::operate::service::Service;
use crate::operate::{OperateError, is_watched};

/// # Errors
/// [`OperateError::UnknownSwitch`].
pub(super) fn check_known(pool: &SwitchPool, switch: &str) -> Result<(), OperateError> {
    match pool.switches.contains_key(switch) {
        true => Ok(()),
        false => Err(OperateError::UnknownSwitch {
            name: switch.to_owned(),
            known: pool.switches.keys().cloned().collect(),
        }),
    }
}

impl Service {
    /// Which switches may get gateways now.
    pub(in crate::operate) async fn pool(&self) -> Result<SwitchPool, OperateError> {
        let away = OperateError::at(&self.settings);
        let (control, states, reports) = tokio::try_join!(
            self.store.read_control(),
            self.store.read_switch_states(),
            self.store.read_reports()
        )
        .map_err(away)?;
        let now = Timestamp::now();
        let seen = states
            .iter()
            .map(|(name, state)| (name.as_str(), is_watched(state, now)));
        Ok(SwitchPool::new(&self.settings, &control, &reports, seen))
    }
}
