//! Compares a list with Redis, and writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::super::gateways::bulk::{MAX_NEW_BYTES, may_be_written};
use super::super::gateways::{GatewayRef, SwitchForecast, desired_after, entry};
use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::draft::{Drafted, domains, draft_all};
use super::report::{Difference, DomainOutcome, TransferCounts, TransferReport};
use super::{MAX_WANTED, SetName, Transfer, TransferOptions, Wanted};
use crate::access::Role;
use crate::desired::{Current, Edit, Edited};
use crate::gateway::{DomainName, GatewayName, Rules};
use crate::history::EditKind;

impl Service {
    /// Compares a list with what is stored. Nothing is written.
    ///
    /// # Errors
    /// The caller may not edit one of the domains; the list names a gateway twice, or is too long; Redis
    /// can't be read.
    pub async fn draft_transfer(
        &self,
        caller: &Caller,
        mut wanted: Vec<Wanted>,
        options: TransferOptions,
    ) -> Result<Transfer, OperateError> {
        caller.requires(Role::Operator)?;
        self.check_wanted(caller, &wanted)?;
        if let Some(set) = options.set.as_ref().filter(|_| options.prune) {
            if wanted.is_empty() && !options.allow_empty {
                return Err(OperateError::NothingWanted);
            }
            wanted.extend(self.pruned(caller, &wanted, set).await?);
        }
        check_count(wanted.len())?;
        // In the order of domains and names.
        wanted.sort_by(|one, other| (&one.domain, &one.name).cmp(&(&other.domain, &other.name)));
        let seen = self.seen().await?;
        let current = self.writable().await?;
        let drafts = Arc::new(self.draft_wanted(&current, wanted, options.force).await?);
        let domains = domains(&drafts).map_err(|(domain, changes)| OperateError::TooManyInDomain {
            domain: domain.to_string(),
            changes,
        })?;
        let ready = domains.iter().filter(|domain| domain.outcome == DomainOutcome::Ready);
        let ready: BTreeSet<_> = ready.map(|domain| DomainName::from_text(&domain.domain)).collect();
        let drafted = drafts.clone();
        let after = move |current: &Current, rules: &Rules| {
            let written = drafted.iter().filter(|drafted| drafted.is_write());
            let written = written.filter(|drafted| ready.contains(&drafted.domain));
            desired_after(current, rules, written.map(Drafted::new_value))
        };
        let plan = self.forecast(caller, current, seen, after).await?;
        let report = report(&drafts, domains, plan);
        Ok(Transfer {
            drafts,
            set: options.set,
            report,
        })
    }

    fn check_wanted(&self, caller: &Caller, wanted: &[Wanted]) -> Result<(), OperateError> {
        check_count(wanted.len())?;
        let domains: BTreeSet<_> = wanted.iter().map(|wanted| &wanted.domain).collect();
        for domain in domains {
            caller.may_edit(domain.text())?;
        }
        let mut places: BTreeMap<(&DomainName, &GatewayName), &str> = BTreeMap::new();
        for wanted in wanted {
            if let Some(first) = places.insert((&wanted.domain, &wanted.name), &wanted.at) {
                return Err(OperateError::WantedTwice {
                    domain: wanted.domain.to_string(),
                    gateway: wanted.name.to_string(),
                    places: [first, &wanted.at].map(ToOwned::to_owned),
                });
            }
        }
        Ok(())
    }

    /// What the set wrote before and the list doesn't name.
    async fn pruned(&self, caller: &Caller, wanted: &[Wanted], set: &SetName) -> Result<Vec<Wanted>, OperateError> {
        let members = self.store.members_of_set(set.as_str()).await;
        let members = members.map_err(OperateError::at(&self.settings))?;
        let named: BTreeSet<_> = wanted.iter().map(|wanted| (&wanted.domain, &wanted.name)).collect();
        let at: Arc<str> = format!("set {set}").into();
        let pruned = members
            .iter()
            .filter(|(domain, name)| !named.contains(&(domain, name)) && caller.sees(domain.text()));
        let gone = pruned.map(|(domain, name)| Wanted {
            domain: domain.clone(),
            name: name.clone(),
            value: None,
            at: at.clone(),
        });
        Ok(gone.collect())
    }

    async fn draft_wanted(
        &self,
        current: &Current,
        wanted: Vec<Wanted>,
        force: bool,
    ) -> Result<Vec<Drafted>, OperateError> {
        let (current, rules) = (current.clone(), self.catalog.rules());
        let drafting = spawn_blocking(move || draft_all(&current, &rules, &wanted, force, MAX_NEW_BYTES));
        let drafts = drafting.await.map_err(|_| OperateError::Interrupted)?;
        drafts.map_err(|_| OperateError::TooManyBytes { most: MAX_NEW_BYTES })
    }

    /// Writes what was drafted, domain by domain, each in one step and only if nobody changed one of its
    /// gateways since. See [`TransferReport::domains`] for how each ended.
    ///
    /// # Errors
    /// [`OperateError::TransferStopped`] if Redis failed after something was written; else its cause.
    pub async fn write_transfer(&self, caller: &Caller, transfer: Transfer) -> Result<TransferReport, OperateError> {
        let Transfer {
            drafts,
            set,
            mut report,
            ..
        } = transfer;
        report.dry_run = false;
        let mut failure = None;
        let mut start = 0;
        for at in 0..report.domains.len() {
            let name = DomainName::from_text(&report.domains[at].domain);
            let here = drafts[start..].partition_point(|drafted| drafted.domain <= name);
            let of_domain = &drafts[start..start + here];
            start += here;
            if report.domains[at].outcome != DomainOutcome::Ready {
                continue;
            }
            if failure.is_some() {
                report.domains[at].outcome = DomainOutcome::NotWritten;
                continue;
            }
            let written = self.write_domain(caller, &name, of_domain, set.as_ref()).await;
            report.domains[at].outcome = written.unwrap_or_else(|(outcome, error)| {
                failure = Some(error);
                outcome
            });
        }
        match failure {
            None => {
                self.remember(&drafts, &report, set.as_ref()).await?;
                Ok(report)
            }
            Some(cause) => Err(stopped(cause, report)),
        }
    }

    async fn write_domain(
        &self,
        caller: &Caller,
        domain: &DomainName,
        drafts: &[Drafted],
        set: Option<&SetName>,
    ) -> Result<DomainOutcome, (DomainOutcome, OperateError)> {
        let edits = drafts.iter().filter(|drafted| drafted.is_write());
        let edits: Vec<_> = edits.map(|drafted| drafted.edit(caller)).collect();
        match self.history.edit_in_set(domain, &edits, set.map(SetName::as_str)).await {
            Ok(Edited::Done(_)) => Ok(DomainOutcome::Written),
            Ok(Edited::Conflict | Edited::WrongType(_)) => Ok(DomainOutcome::ChangedMeanwhile),
            Err(error) => {
                let outcome = match may_be_written(&error) {
                    true => DomainOutcome::Unknown,
                    false => DomainOutcome::NotWritten,
                };
                Err((outcome, OperateError::writing(&self.settings)(error)))
            }
        }
    }

    /// The set owns also what it would not have changed.
    async fn remember(
        &self,
        drafts: &[Drafted],
        report: &TransferReport,
        set: Option<&SetName>,
    ) -> Result<(), OperateError> {
        let Some(set) = set else { return Ok(()) };
        use DomainOutcome::{Same, Written};
        let domains = report.domains.iter();
        let good = domains.filter(|domain| matches!(domain.outcome, Same | Written));
        let good: BTreeSet<_> = good.map(|domain| &*domain.domain).collect();
        let same = drafts
            .iter()
            .filter(|drafted| drafted.difference == Difference::Same && drafted.is_wanted)
            .filter(|drafted| good.contains(&**drafted.domain.text()));
        let same: Vec<_> = same
            .map(|drafted| (drafted.domain.clone(), drafted.name.clone()))
            .collect();
        let marked = self.store.add_to_set(set.as_str(), &same).await;
        marked.map_err(OperateError::writing(&self.settings))
    }
}

fn check_count(count: usize) -> Result<(), OperateError> {
    match count > MAX_WANTED {
        true => Err(OperateError::TooManyGateways {
            chosen: count,
            most: MAX_WANTED,
        }),
        false => Ok(()),
    }
}

fn report(drafts: &[Drafted], domains: Vec<super::TransferDomain>, plan: Vec<SwitchForecast>) -> TransferReport {
    let mut counts = TransferCounts::default();
    drafts.iter().for_each(|drafted| counts.add(drafted.difference));
    let differing = drafts.iter().filter(|drafted| drafted.difference != Difference::Same);
    TransferReport {
        dry_run: true,
        counts,
        items: differing.map(Drafted::item).collect(),
        left_out: 0,
        domains,
        plan,
    }
}

/// The error alone if nothing was written.
fn stopped(cause: OperateError, report: TransferReport) -> OperateError {
    let is_touched = report
        .domains
        .iter()
        .any(|domain| matches!(domain.outcome, DomainOutcome::Written | DomainOutcome::Unknown));
    match is_touched {
        false => cause,
        true => OperateError::TransferStopped {
            cause: Box::new(cause),
            done: Box::new(report),
        },
    }
}

impl Drafted {
    fn edit(&self, caller: &Caller) -> Edit {
        let of = GatewayRef {
            domain: self.domain.clone(),
            name: self.name.clone(),
        };
        let kind = match self.difference {
            Difference::Added => EditKind::Create,
            Difference::Removed => EditKind::Delete,
            _ => EditKind::Change,
        };
        Edit {
            gateway: self.name.clone(),
            before: self.before.as_ref().map(|value| value.to_vec()),
            after: self.after.clone(),
            entry: entry(caller, &of, kind, self.changes.clone()),
        }
    }
}
