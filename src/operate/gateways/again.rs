//! Tries an edit again that is not carried out: the carrier refused it, or others of its carrier.

use jiff::Timestamp;

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::GatewayRef;
use crate::history::{Entry, Event};

impl Service {
    /// Has the edit carried out as if nobody had refused it. Nothing to do if it is already.
    ///
    /// # Errors
    /// The caller may not edit the domain; Redis can't be read or written.
    pub async fn try_edit_again(&self, caller: &Caller, of: &GatewayRef) -> Result<(), OperateError> {
        caller.may_edit(of.domain.text())?;
        let current = self.writable().await?;
        let entry = current.desired.get_in(of.domain.text(), of.name.as_str());
        let kept = entry.and_then(|entry| entry.rollback.as_ref());
        let Some(kept) = kept.filter(|rollback| rollback.phase.keeps_old()) else {
            return Ok(());
        };
        let released = [(of.name.clone(), kept.phase, kept.released(Timestamp::now()))];
        let changed = self.store.change_rollbacks(&released).await;
        if changed.map_err(OperateError::writing(&self.settings))? > 0 {
            let entry = Entry::now(&caller.identity, Event::Release);
            let entry = entry.with_gateway(of.name.as_str(), Some(of.domain.to_string()));
            self.history.record_done(&entry).await;
        }
        Ok(())
    }
}
