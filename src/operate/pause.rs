//! Stops and resumes all changes to switches, for every trunkd on this Redis.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::service::Service;
use super::{Caller, OperateError};
use crate::access::Role;
use crate::history::{Entry, Event};
use crate::redis::Store;
use crate::settings::{ReconcileMode, Settings};

/// What a resume left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// The switch stays paused, because every switch is.
    pub all_paused: bool,
    pub mode: ReconcileMode,
}

/// Pauses one switch, or all.
///
/// # Errors
/// [`OperateError::UnknownSwitch`], or Redis can't be written.
pub async fn pause(
    settings: &Settings,
    store: &Store,
    switch: Option<&str>,
    now: Timestamp,
) -> Result<(), OperateError> {
    check_switch(settings, store, switch).await?;
    store.pause(switch, now).await.map_err(OperateError::at(settings))
}

/// Resumes one switch, or all.
///
/// # Errors
/// [`OperateError::UnknownSwitch`], or Redis can't be written.
pub async fn resume(settings: &Settings, store: &Store, switch: Option<&str>) -> Result<Resumed, OperateError> {
    let away = OperateError::at(settings);
    check_switch(settings, store, switch).await?;
    store.resume(switch).await.map_err(away)?;
    let left = store.read_control().await.map_err(away)?;
    Ok(Resumed {
        all_paused: left.paused.is_some(),
        mode: settings.reconcile.mode,
    })
}

/// Other trunkd may have switches in their settings that ours don't have.
pub(in crate::operate) async fn check_switch(
    settings: &Settings,
    store: &Store,
    switch: Option<&str>,
) -> Result<(), OperateError> {
    let Some(name) = switch else { return Ok(()) };
    let seen = store.switch_names().await.map_err(OperateError::at(settings))?;
    let ours = settings.switches.iter().map(|switch| switch.name.clone());
    let known: BTreeSet<_> = ours.chain(seen).collect();
    match known.contains(name) {
        true => Ok(()),
        false => Err(OperateError::UnknownSwitch {
            name: name.to_owned(),
            known,
        }),
    }
}

impl Service {
    /// Pauses one switch, or all.
    ///
    /// # Errors
    /// The caller is no admin; [`pause`].
    pub async fn pause(&self, caller: &Caller, switch: Option<&str>, now: Timestamp) -> Result<(), OperateError> {
        caller.requires(Role::Admin)?;
        pause(&self.settings, &self.store, switch, now).await?;
        self.record_switch(caller, switch, Event::Pause).await;
        Ok(())
    }

    /// Resumes one switch, or all.
    ///
    /// # Errors
    /// The caller is no admin; [`resume`].
    pub async fn resume(&self, caller: &Caller, switch: Option<&str>) -> Result<Resumed, OperateError> {
        caller.requires(Role::Admin)?;
        let resumed = resume(&self.settings, &self.store, switch).await?;
        self.record_switch(caller, switch, Event::Resume).await;
        Ok(resumed)
    }

    /// It is done already, so a failure to record it is only logged.
    pub(in crate::operate) async fn record_switch(&self, caller: &Caller, switch: Option<&str>, event: Event) {
        let entry = Entry {
            switch: switch.map(str::to_owned),
            ..Entry::now(&caller.identity, event)
        };
        self.history.record_done(&entry).await;
    }
}
