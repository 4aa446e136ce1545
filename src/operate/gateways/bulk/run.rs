//! Changes many gateways.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::super::super::service::Service;
use super::super::super::{Caller, OperateError};
use super::super::GatewayRef;
use super::super::forecast::{NewValue, desired_after};
use super::super::write::entry;
use super::chunks::{Chunk, chunks};
use super::draft::{Draft, Drafted, draft_all, wrong_type};
use super::model::{BulkAnswer, BulkOutcome};
use super::{BulkOptions, Change, Chosen, MAX_GATEWAYS};
use crate::access::Role;
use crate::desired::{Current, Edit, EditedEach};
use crate::gateway::{Document, DomainName, Rules};
use crate::history::EditKind;
use crate::redis::{Cause, StoreError};

/// The most bytes of new values of one call: those of 100,000 gateways take 70 MB.
pub(in crate::operate) const MAX_NEW_BYTES: usize = 256 * 1024 * 1024;

impl Service {
    /// Changes every gateway that is chosen, each on its own: what can't be changed, or was changed by
    /// others meanwhile, is reported and left alone.
    ///
    /// # Errors
    /// The caller may not edit one of the domains; too many are chosen; Redis can't be read;
    /// [`OperateError::BulkStopped`] if it failed after some were written.
    pub async fn change_gateways(
        &self,
        caller: &Caller,
        chosen: &Chosen,
        change: &Change,
        options: BulkOptions,
    ) -> Result<BulkAnswer, OperateError> {
        caller.requires(Role::Operator)?;
        let names = self.chosen(caller, chosen).await?;
        let seen = self.seen().await?;
        let current = self.writable().await?;
        let drafts = Arc::new(self.drafts(&current, names, change, options).await?);
        let writes = drafts.iter().filter(|drafted| drafted.is_write()).count();
        check_expected(options.expected, writes)?;
        let mut outcomes: Vec<_> = drafts.iter().map(Drafted::outcome).collect();
        if !options.dry_run
            && let Err(cause) = self.write_drafts(caller, change, &drafts, &mut outcomes).await
        {
            return Err(stopped(cause, &drafts, outcomes));
        }
        let is_changed = |outcome: &BulkOutcome| matches!(outcome, BulkOutcome::Changed { .. });
        let is_changed: Vec<_> = outcomes.iter().map(is_changed).collect();
        let drafted = drafts.clone();
        let after = move |current: &Current, rules: &Rules| {
            let changed = drafted.iter().zip(is_changed).filter(|(_, is_changed)| *is_changed);
            desired_after(current, rules, changed.filter_map(|(drafted, _)| drafted.new_value()))
        };
        let plan = self.forecast(caller, current, seen, after).await?;
        Ok(BulkAnswer::new(options.dry_run, &drafts, outcomes, plan))
    }

    /// Their names, by domain. Each domain is one that the caller may edit.
    pub(in crate::operate) async fn chosen(
        &self,
        caller: &Caller,
        chosen: &Chosen,
    ) -> Result<Vec<(DomainName, String)>, OperateError> {
        let names = match chosen {
            Chosen::Filter(query) => self.names(caller, query).await?,
            Chosen::Named(names) => {
                let names = names.iter().map(|(domain, name)| (domain.clone(), name.to_string()));
                names.collect()
            }
        };
        if names.len() > MAX_GATEWAYS {
            return Err(OperateError::TooManyGateways {
                chosen: names.len(),
                most: MAX_GATEWAYS,
            });
        }
        let domains: BTreeSet<_> = names.iter().map(|(domain, _)| domain.text()).collect();
        for domain in domains {
            caller.may_edit(domain)?;
        }
        Ok(names)
    }

    async fn drafts(
        &self,
        current: &Current,
        names: Vec<(DomainName, String)>,
        change: &Change,
        options: BulkOptions,
    ) -> Result<Vec<Drafted>, OperateError> {
        let (current, change, rules) = (current.clone(), change.clone(), self.catalog.rules());
        let drafting =
            spawn_blocking(move || draft_all(&current, &rules, names, &change, options.force, MAX_NEW_BYTES));
        let drafts = drafting.await.map_err(|_| OperateError::Interrupted)?;
        drafts.map_err(|_| OperateError::TooManyBytes { most: MAX_NEW_BYTES })
    }

    /// Writes them chunk by chunk, and sets what became of each. After an error the rest is not written.
    async fn write_drafts(
        &self,
        caller: &Caller,
        change: &Change,
        drafts: &[Drafted],
        outcomes: &mut [BulkOutcome],
    ) -> Result<(), OperateError> {
        let kind = match change {
            Change::Delete => EditKind::Delete,
            _ => EditKind::Change,
        };
        let chunks = chunks(drafts);
        for place in chunks.iter().flat_map(|chunk| &chunk.places) {
            outcomes[*place] = BulkOutcome::NotWritten;
        }
        for Chunk { domain, places } in chunks {
            let edits = places.iter().filter_map(|place| drafts[*place].edit(caller, kind));
            let edits: Vec<_> = edits.collect();
            let ends: Vec<BulkOutcome> = match self.history.edit_each(&domain, &edits).await {
                Ok(EditedEach::Done(ids)) => ids.into_iter().map(written).collect(),
                Ok(EditedEach::WrongType(kind)) => {
                    let refused = BulkOutcome::Refused {
                        errors: vec![wrong_type(&kind)],
                    };
                    vec![refused; places.len()]
                }
                Err(error) => {
                    if may_be_written(&error) {
                        places.iter().for_each(|place| outcomes[*place] = BulkOutcome::Unknown);
                    }
                    return Err(OperateError::writing(&self.settings)(error));
                }
            };
            for (place, end) in places.into_iter().zip(ends) {
                outcomes[place] = end;
            }
        }
        Ok(())
    }
}

/// Whether what was shown is still what would happen.
pub(in crate::operate) fn check_expected(expected: Option<usize>, now: usize) -> Result<(), OperateError> {
    match expected {
        Some(expected) if expected != now => Err(OperateError::OtherCount { expected, now }),
        _ => Ok(()),
    }
}

impl Drafted {
    fn is_write(&self) -> bool {
        matches!(self.draft, Draft::Write { .. })
    }

    /// What becomes of it if nothing comes between.
    fn outcome(&self) -> BulkOutcome {
        match &self.draft {
            Draft::Write { .. } => BulkOutcome::Changed { history: None },
            Draft::Unchanged => BulkOutcome::Unchanged,
            Draft::Missing => BulkOutcome::NoSuchGateway,
            Draft::Refused(errors) => BulkOutcome::Refused { errors: errors.clone() },
        }
    }

    fn new_value(&self) -> Option<NewValue<'_>> {
        let Draft::Write { after, .. } = &self.draft else {
            return None;
        };
        Some(NewValue {
            domain: &self.domain,
            name: self.name.as_bytes(),
            value: after.as_deref(),
        })
    }

    fn edit(&self, caller: &Caller, kind: EditKind) -> Option<Edit> {
        let Draft::Write { gateway, before, after } = &self.draft else {
            return None;
        };
        let of = GatewayRef {
            domain: self.domain.clone(),
            name: gateway.clone(),
        };
        let changes = Document::byte_changes(Some(before), after.as_deref());
        Some(Edit {
            gateway: gateway.clone(),
            before: Some(before.to_vec()),
            after: after.clone(),
            entry: entry(caller, &of, kind, changes),
        })
    }
}

fn written(history: Option<String>) -> BulkOutcome {
    match history {
        Some(_) => BulkOutcome::Changed { history },
        None => BulkOutcome::ChangedMeanwhile,
    }
}

/// Redis may have done what it did not answer.
pub(in crate::operate) fn may_be_written(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Timeout { .. }
            | StoreError::Redis {
                cause: Cause::Broken,
                ..
            }
    )
}

/// The error alone if nothing was written.
fn stopped(cause: OperateError, drafts: &[Drafted], outcomes: Vec<BulkOutcome>) -> OperateError {
    let is_touched = |outcome: &BulkOutcome| matches!(outcome, BulkOutcome::Changed { .. } | BulkOutcome::Unknown);
    match outcomes.iter().any(is_touched) {
        false => cause,
        true => OperateError::BulkStopped {
            cause: Box::new(cause),
            done: Box::new(BulkAnswer::new(false, drafts, outcomes, Vec::new())),
        },
    }
}
