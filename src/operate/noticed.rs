//! Edits that came past trunkd: a program wrote Redis itself. They go into the history like any other,
//! once, whichever trunkd notices them first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::OperateError;
use super::service::Service;
use crate::access::Identity;
use crate::desired::{Current, Edit, Values};
use crate::gateway::{Desired, Document, DomainName, FieldChange, Fields, GatewayName, RawDomain};
use crate::history::{EditKind, Entry, Event};
use crate::redis::StoreError;

/// Edits that are recorded one by one, of those that are noticed together. The rest is one entry: a whole
/// Redis that was filled or emptied would push everything else out of the history.
const MAX_NOTICED: usize = 2000;
/// Edits per call of Redis.
const CHUNK: usize = 50;
/// Entries of the history per read.
const READ: usize = 1000;
/// The clocks of Redis and of an earlier trunkd differ by less.
const CLOCKS: SignedDuration = SignedDuration::from_mins(1);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);

/// How far edits past trunkd are recorded.
#[derive(Debug, Clone, Default)]
pub struct Noticed {
    /// The state up to which they are.
    pub desired: Option<Arc<Desired>>,
    /// Looks that came to an end.
    pub looks: u64,
}

/// What the next look starts from.
struct Known {
    before: Option<Current>,
    /// The last entry of the history that was read; `None` if none was.
    position: Option<String>,
}

/// Gateways with new edits in the history, and the newest of each.
type Recent = BTreeMap<(DomainName, GatewayName), Newest>;

struct Newest {
    id: String,
    /// It came past trunkd, and another one noticed it.
    is_noticed: bool,
}

/// The value that each of them was given; `None` if it was deleted.
type Written = BTreeMap<(DomainName, GatewayName), Option<String>>;

impl Service {
    /// Records what changes in Redis, until `stop`, and says how far it is. `before` is what an earlier
    /// trunkd knew.
    pub async fn record_noticed(
        &self,
        before: Option<(Current, Timestamp)>,
        mut changes: watch::Receiver<u64>,
        noticed: watch::Sender<Noticed>,
        stop: CancellationToken,
    ) {
        let recording = async {
            let (before, at) = before.unzip();
            let mut known = Known {
                before,
                position: at.map(position_at),
            };
            loop {
                changes.mark_unchanged();
                match self.notice(&mut known).await {
                    Ok(()) => {
                        let desired = known.before.as_ref().map(|before| before.desired.clone());
                        noticed.send_modify(|noticed| {
                            noticed.desired = desired;
                            noticed.looks += 1;
                        });
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

    /// Records what changed since the last look.
    async fn notice(&self, known: &mut Known) -> Result<(), OperateError> {
        let away = OperateError::at(&self.settings);
        // The history first: the state has at least the edits that are read.
        let position = match known.position.take() {
            Some(position) => position,
            None => self.history.newest_id().await.map_err(&away)?,
        };
        known.position = Some(position.clone());
        let (recent, position) = self.recent_edits(position).await.map_err(&away)?;
        let written = self.values_of(&recent).await.map_err(&away)?;
        let current = self.writable().await?;
        // The first state that a trunkd ever sees is nobody's edit.
        if let Some(before) = &known.before {
            let domains = changed_domains(before, &current);
            let mut all = Vec::with_capacity(domains.len());
            for (domain, was, now) in &domains {
                let mut changes = now.changes(was);
                // A change of many gateways by trunkd may be more than `MAX_NOTICED`. What another trunkd
                // noticed stays: each draws the line at the same place, so that the rest is one entry.
                changes.retain(|change| !is_ours(&recent, domain, change.name));
                all.push((domain, changes));
            }
            if all.iter().map(|(_, changes)| changes.len()).sum::<usize>() > MAX_NOTICED {
                // They may have come between the reads of the history and of the state.
                let (late, _) = self.recent_edits(position.clone()).await.map_err(&away)?;
                for (domain, changes) in &mut all {
                    changes.retain(|change| !is_ours(&late, domain, change.name));
                }
            }
            let mut left = MAX_NOTICED;
            let mut rest = Rest::default();
            for (domain, mut changes) in all {
                let single = changes.len().min(left);
                left -= single;
                rest.add(domain, &changes.split_off(single));
                changes.retain(|change| !is_among(&written, domain, change.name));
                self.record_changes(domain, &changes).await?;
            }
            self.record_rest(&rest).await?;
            self.record_since(&written, &current).await?;
        }
        *known = Known {
            before: Some(current),
            position: Some(position),
        };
        Ok(())
    }

    /// The edits in the history after `position`, and its new position.
    async fn recent_edits(&self, mut position: String) -> Result<(Recent, String), StoreError> {
        let mut recent = Recent::new();
        loop {
            let entries = self.history.after(&position, READ).await?;
            let is_last = entries.len() < READ;
            for entry in entries {
                let name = entry.text("gateway").and_then(|name| GatewayName::parse(name).ok());
                if let (Some("edit"), Some(domain), Some(name)) = (entry.text("kind"), entry.text("domain"), name) {
                    let newest = Newest {
                        id: entry.id.clone(),
                        is_noticed: entry
                            .text("who")
                            .is_some_and(|who| *who == *Identity::Redis.to_string()),
                    };
                    recent.insert((DomainName::from_text(domain), name), newest);
                }
                position = entry.id;
            }
            if is_last {
                return Ok((recent, position));
            }
        }
    }

    /// What the newest of these edits wrote, where that is known.
    async fn values_of(&self, recent: &Recent) -> Result<Written, StoreError> {
        let mut written = Written::new();
        let recent: Vec<_> = recent.iter().collect();
        for some in recent.chunks(CHUNK) {
            let of = some
                .iter()
                .map(|((domain, name), newest)| (&**domain.text(), name.as_str(), newest.id.as_str()));
            let details = self.history.details_of(&of.collect::<Vec<_>>()).await?;
            for (((domain, name), _), details) in some.iter().zip(details) {
                let values: Option<Values> = details.and_then(|details| serde_json::from_str(&details).ok());
                if let Some(values) = values {
                    written.insert((domain.clone(), name.clone()), values.after);
                }
            }
        }
        Ok(written)
    }

    /// Where something else stands than the newest edit in the history wrote, there was another edit
    /// after it. It may have come and gone between two looks at the state.
    async fn record_since(&self, written: &Written, current: &Current) -> Result<(), OperateError> {
        for ((domain, name), after) in written {
            let name = name.as_str().as_bytes();
            let now = match current.domains.get(domain) {
                Some(RawDomain::Hash(fields)) => fields.get(name),
                Some(RawDomain::WrongType(_)) => continue,
                None => None,
            };
            let before = after.as_deref().map(str::as_bytes);
            if before != now {
                self.record_changes(domain, &[FieldChange { name, before, now }])
                    .await?;
            }
        }
        Ok(())
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

/// A position in the history from before this time.
fn position_at(at: Timestamp) -> String {
    let before = at.checked_sub(CLOCKS).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}-0", before.as_millisecond().max(0))
}

fn is_among(written: &Written, domain: &DomainName, name: &[u8]) -> bool {
    key(domain, name).is_some_and(|key| written.contains_key(&key))
}

/// Whether somebody edited it through trunkd.
fn is_ours(recent: &Recent, domain: &DomainName, name: &[u8]) -> bool {
    let newest = key(domain, name).and_then(|key| recent.get(&key));
    newest.is_some_and(|newest| !newest.is_noticed)
}

fn key(domain: &DomainName, name: &[u8]) -> Option<(DomainName, GatewayName)> {
    let name = GatewayName::parse(std::str::from_utf8(name).ok()?).ok()?;
    Some((domain.clone(), name))
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
        HEXLOWER.encode(&digest[..16])
    }
}

/// Domains whose fields differ. A key that is no hash hides its fields and deletes none.
fn changed_domains(before: &Current, now: &Current) -> Vec<(DomainName, Arc<Fields>, Arc<Fields>)> {
    let fields = |of: &Current, domain: &DomainName| match of.domains.get(domain) {
        Some(RawDomain::Hash(fields)) => Some(fields.clone()),
        Some(RawDomain::WrongType(_)) => None,
        None => Some(Arc::default()),
    };
    let mut domains: Vec<_> = before.domains.keys().chain(now.domains.keys()).cloned().collect();
    domains.sort();
    domains.dedup();
    let changed = domains.into_iter().filter_map(|domain| {
        let (was, is) = (fields(before, &domain)?, fields(now, &domain)?);
        (!Arc::ptr_eq(&was, &is)).then_some((domain, was, is))
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
