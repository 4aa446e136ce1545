//! The switches that a gateway may move to.

use crate::operate::gateways::GatewayRef;
use crate::operate::service::Service;
use crate::operate::{Caller, OperateError};

impl Service {
    /// The switches that a gateway may move to now. None while it moves, and if it runs on all of them.
    ///
    /// # Errors
    /// Redis can't be read, the caller may not see the domain, or there is no such gateway, or it isn't served.
    pub async fn move_targets(&self, caller: &Caller, of: &GatewayRef) -> Result<Vec<String>, OperateError> {
        caller.check_sees(of.domain.text())?;
        let (current, pool) = (self.writable().await?, self.pool().await?);
        let gateway = Self::served(&current, of)?;
        let open = pool.open().map(|(switch, _)| switch);
        let targets = open.filter(|to| Self::movable(&current, gateway, to).is_ok());
        Ok(targets.map(str::to_owned).collect())
    }
}
