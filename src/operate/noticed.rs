//! Edits that came past trunkd: a program wrote Redis itself. They go into the history like any other,
//! once, whichever trunkd notices them first.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::OperateError;
use super::service::Service;
use crate::access::Identity;
use crate::desired::{Current, Edit};
use crate::gateway::{Document, DomainName, FieldChange, Fields, GatewayName, RawDomain};
use crate::history::{EditKind, Entry, Event};

/// Edits that are recorded one by one, of those that are noticed together. The rest is one entry: a whole
/// Redis that was filled or emptied would push everything else out of the history.
const MAX_NOTICED: usize = 2000;
/// Edits per script call.
const CHUNK: usize = 50;
/// Names per question whether an edit is recorded.
const ASKED: usize = 500;
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);

impl Service {
    /// Records what changes in Redis, until `stop`. `before` is what an earlier trunkd knew.
    pub async fn record_noticed(
        &self,
        before: Option<Current>,
        mut changes: watch::Receiver<u64>,
        stop: CancellationToken,
    ) {
        let recording = async {
            let mut before = before;
            loop {
                changes.mark_unchanged();
                match self.notice(&mut before).await {
                    Ok(()) => {
                        if changes.changed().await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::debug!("edits could not be recorded yet: {error}");
                        sleep(AGAIN).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(recording).await;
    }

    /// Records what changed since `before`.
    async fn notice(&self, before: &mut Option<Current>) -> Result<(), OperateError> {
        let current = self.writable().await?;
        // The first state that a trunkd ever sees is nobody's edit.
        if let Some(before) = before.as_ref() {
            let mut left = MAX_NOTICED;
            let mut rest = Rest::default();
            for (domain, was, now) in changed_domains(before, &current) {
                // A change of many gateways by the API may be more than `MAX_NOTICED`.
                let mut changes = self.unrecorded(&domain, now.changes(&was)).await?;
                let single = changes.len().min(left);
                left -= single;
                rest.add(&domain, &changes.split_off(single));
                self.record_changes(&domain, &changes).await?;
            }
            self.record_rest(&rest).await?;
        }
        *before = Some(current);
        Ok(())
    }

    /// Those that nobody recorded.
    async fn unrecorded<'a>(
        &self,
        domain: &DomainName,
        changes: Vec<FieldChange<'a>>,
    ) -> Result<Vec<FieldChange<'a>>, OperateError> {
        let mut unrecorded = Vec::new();
        for some in changes.chunks(ASKED) {
            // What has no name in UTF-8 is no gateway, and never recorded.
            let named: Vec<_> = some
                .iter()
                .filter_map(|change| Some((*change, std::str::from_utf8(change.name).ok()?)))
                .collect();
            let names: Vec<_> = named.iter().map(|(_, name)| *name).collect();
            let asked = self.history.are_unrecorded(domain, &names).await;
            let asked = asked.map_err(OperateError::writing(&self.settings))?;
            let left = named.iter().zip(asked).filter(|(_, is_unrecorded)| *is_unrecorded);
            unrecorded.extend(left.map(|((change, _), _)| *change));
        }
        Ok(unrecorded)
    }

    async fn record_changes(&self, domain: &DomainName, changes: &[FieldChange<'_>]) -> Result<(), OperateError> {
        let edits: Vec<_> = changes.iter().filter_map(|change| edit(domain, change)).collect();
        for some in edits.chunks(CHUNK) {
            let recorded = self.history.record_noticed(domain, some).await;
            recorded.map_err(OperateError::writing(&self.settings))?;
        }
        Ok(())
    }

    async fn record_rest(&self, rest: &Rest) -> Result<(), OperateError> {
        if rest.is_empty() {
            return Ok(());
        }
        let event = Event::Edits {
            created: rest.created,
            changed: rest.changed,
            deleted: rest.deleted,
        };
        let entry = Entry::now(Identity::Redis, event);
        let recorded = self.history.record_once(&rest.claim(), &entry).await;
        recorded.map_err(OperateError::writing(&self.settings))
    }
}

/// Edits that are only counted.
#[derive(Default)]
struct Rest {
    created: usize,
    changed: usize,
    deleted: usize,
    digest: Sha256,
}

impl Rest {
    fn add(&mut self, domain: &DomainName, changes: &[FieldChange<'_>]) {
        for change in changes {
            match (change.before, change.now) {
                (None, _) => self.created += 1,
                (Some(_), Some(_)) => self.changed += 1,
                (Some(_), None) => self.deleted += 1,
            }
            for part in [domain.as_bytes(), change.name, change.now.unwrap_or_default()] {
                self.digest.update((part.len() as u64).to_le_bytes());
                self.digest.update(part);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.created + self.changed + self.deleted == 0
    }

    /// The same for every trunkd that notices the same.
    fn claim(&self) -> String {
        let digest = self.digest.clone().finalize();
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Domains whose fields differ. A key that is no hash hides its fields and deletes none.
fn changed_domains(
    before: &Current,
    now: &Current,
) -> Vec<(DomainName, std::sync::Arc<Fields>, std::sync::Arc<Fields>)> {
    let fields = |of: &Current, domain: &DomainName| match of.domains.get(domain) {
        Some(RawDomain::Hash(fields)) => Some(fields.clone()),
        Some(RawDomain::WrongType(_)) => None,
        None => Some(std::sync::Arc::default()),
    };
    let mut domains: Vec<_> = before.domains.keys().chain(now.domains.keys()).cloned().collect();
    domains.sort();
    domains.dedup();
    let changed = domains.into_iter().filter_map(|domain| {
        let (was, is) = (fields(before, &domain)?, fields(now, &domain)?);
        (!std::sync::Arc::ptr_eq(&was, &is)).then_some((domain, was, is))
    });
    changed.collect()
}

/// `None` for a field whose name no gateway can have.
fn edit(domain: &DomainName, change: &FieldChange<'_>) -> Option<Edit> {
    let name = GatewayName::parse(std::str::from_utf8(change.name).ok()?).ok()?;
    let edit = match (change.before, change.now) {
        (None, _) => EditKind::Create,
        (Some(_), Some(_)) => EditKind::Change,
        (Some(_), None) => EditKind::Delete,
    };
    let event = Event::Edit {
        edit,
        changes: Document::byte_changes(change.before, change.now),
        reverts: None,
        other_name: None,
    };
    Some(Edit {
        before: change.before.map(<[u8]>::to_vec),
        after: change.now.map(<[u8]>::to_vec),
        entry: Entry {
            domain: Some(domain.to_string()),
            gateway: Some(name.to_string()),
            ..Entry::now(Identity::Redis, event)
        },
        gateway: name,
    })
}
