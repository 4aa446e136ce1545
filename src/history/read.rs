//! Reads the history, newest first.

use jiff::Timestamp;

use super::{Entry, Event, History};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Entries per command.
const STEP: usize = 500;
/// Entries that one page looks at. A filter that matches less often gets an empty page with a
/// cursor.
const MAX_LOOKED_AT: usize = 20_000;

/// The kind of an entry, as a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Edit,
    Edits,
    Outage,
    Recovered,
    SwitchLost,
    SwitchBack,
    Parked,
    Unparked,
    CarrierOut,
    CarrierBack,
    Moved,
    Drain,
    Undrain,
    Action,
    Actions,
    RolledBack,
    Reveal,
    Access,
    Pause,
    Resume,
    Apply,
    Hold,
    Release,
}

/// Which entries to read.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    pub domain: Option<String>,
    /// With `domain`: only this gateway. Its last 200 entries are found without reading the rest.
    pub gateway: Option<String>,
    pub switch: Option<String>,
    pub who: Option<String>,
    pub kinds: Vec<Kind>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Only entries before this id.
    pub before: Option<String>,
    pub limit: usize,
}

/// Entries, newest first.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    pub entries: Vec<Entry>,
    /// Where the next page begins ([`HistoryQuery::before`]); `None` if this is the last.
    pub next: Option<String>,
}

type Raw = Vec<(String, Vec<(String, String)>)>;

impl Event {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Edit { .. } => Kind::Edit,
            Self::Edits { .. } => Kind::Edits,
            Self::Outage { .. } => Kind::Outage,
            Self::Recovered { .. } => Kind::Recovered,
            Self::SwitchLost { .. } => Kind::SwitchLost,
            Self::SwitchBack { .. } => Kind::SwitchBack,
            Self::Parked { .. } => Kind::Parked,
            Self::Unparked { .. } => Kind::Unparked,
            Self::CarrierOut { .. } => Kind::CarrierOut,
            Self::CarrierBack { .. } => Kind::CarrierBack,
            Self::Moved { .. } => Kind::Moved,
            Self::Drain => Kind::Drain,
            Self::Undrain => Kind::Undrain,
            Self::Action { .. } => Kind::Action,
            Self::Actions { .. } => Kind::Actions,
            Self::RolledBack { .. } => Kind::RolledBack,
            Self::Reveal { .. } => Kind::Reveal,
            Self::Access { .. } => Kind::Access,
            Self::Pause => Kind::Pause,
            Self::Resume => Kind::Resume,
            Self::Apply { .. } => Kind::Apply,
            Self::Hold { .. } => Kind::Hold,
            Self::Release => Kind::Release,
        }
    }
}

impl Kind {
    pub const ALL: [Self; 23] = [
        Self::Edit,
        Self::Edits,
        Self::Outage,
        Self::Recovered,
        Self::SwitchLost,
        Self::SwitchBack,
        Self::Parked,
        Self::Unparked,
        Self::CarrierOut,
        Self::CarrierBack,
        Self::Moved,
        Self::Drain,
        Self::Undrain,
        Self::Action,
        Self::Actions,
        Self::RolledBack,
        Self::Reveal,
        Self::Access,
        Self::Pause,
        Self::Resume,
        Self::Apply,
        Self::Hold,
        Self::Release,
    ];

    /// As in an entry's `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Edits => "edits",
            Self::Outage => "outage",
            Self::Recovered => "recovered",
            Self::SwitchLost => "switch_lost",
            Self::SwitchBack => "switch_back",
            Self::Parked => "parked",
            Self::Unparked => "unparked",
            Self::CarrierOut => "carrier_out",
            Self::CarrierBack => "carrier_back",
            Self::Moved => "moved",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Action => "action",
            Self::Actions => "actions",
            Self::RolledBack => "rolled_back",
            Self::Reveal => "reveal",
            Self::Access => "access",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Apply => "apply",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }
}

impl HistoryQuery {
    fn selects(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, value: Option<&String>| wanted.is_none() || wanted.as_ref() == value;
        is(&self.domain, entry.domain.as_ref())
            && is(&self.gateway, entry.gateway.as_ref())
            && is(&self.switch, entry.switch.as_ref())
            && is(&self.who, Some(&entry.who))
            && (self.kinds.is_empty() || self.kinds.contains(&entry.event.kind()))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
    }

    fn key(&self) -> String {
        match (&self.domain, &self.gateway) {
            (Some(domain), Some(gateway)) => keys::history_of(domain, gateway),
            _ => keys::HISTORY.to_owned(),
        }
    }
}

impl History {
    /// A page of the entries that `sees` lets through.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, query: &HistoryQuery, sees: impl Fn(&Entry) -> bool) -> Result<HistoryPage, StoreError> {
        let key = query.key();
        let mut page = HistoryPage::default();
        let mut before = query.before.clone();
        let mut looked_at = 0;
        loop {
            let some = self.store.read_stream(&key, before.as_deref(), STEP).await?;
            let is_last = some.len() < STEP;
            for (id, fields) in some {
                let Some(entry) = entry(&id, &fields) else { continue };
                if query.since.is_some_and(|since| entry.at < since) {
                    return Ok(page);
                }
                if query.selects(&entry) && sees(&entry) {
                    if page.entries.len() == query.limit {
                        page.next = page.entries.last().map(|last| last.id.clone());
                        return Ok(page);
                    }
                    page.entries.push(entry);
                }
                before = Some(id);
                looked_at += 1;
            }
            if is_last {
                return Ok(page);
            }
            if looked_at >= MAX_LOOKED_AT {
                page.next = before;
                return Ok(page);
            }
        }
    }

    /// Whether the history still goes back to this entry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reaches(&self, id: &str) -> Result<bool, StoreError> {
        Ok(id == "0-0" || !self.store.read_entry(keys::HISTORY, id).await?.is_empty())
    }

    /// One entry, if it is still there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn entry(&self, id: &str) -> Result<Option<Entry>, StoreError> {
        let found = self.store.read_entry(keys::HISTORY, id).await?;
        Ok(found.iter().find_map(|(id, fields)| entry(id, fields)))
    }

    /// The details of a gateway's entry, if they are still there: what [`RECORD_LUA`] got.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// [`RECORD_LUA`]: super::RECORD_LUA
    pub async fn details(&self, domain: &str, gateway: &str, id: &str) -> Result<Option<String>, StoreError> {
        let found = self.store.read_entry(&keys::history_of(domain, gateway), id).await?;
        Ok(details_in(found))
    }

    /// The same of many: domain, gateway and id. In their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn details_of(&self, entries: &[(&str, &str, &str)]) -> Result<Vec<Option<String>>, StoreError> {
        let mut reads = redis::pipe();
        for (domain, gateway, id) in entries {
            reads
                .cmd("XRANGE")
                .arg(keys::history_of(domain, gateway))
                .arg(&[id, id]);
        }
        let store = self.store();
        let found: Vec<Raw> = store
            .read("read history", store.timeout(), async |connection| {
                reads.query_async(connection).await
            })
            .await?;
        Ok(found.into_iter().map(details_in).collect())
    }
}

fn details_in(found: Raw) -> Option<String> {
    let mut fields = found.into_iter().flat_map(|(_, fields)| fields);
    fields.find(|(name, _)| name == "details").map(|(_, details)| details)
}

impl Store {
    async fn read_stream(&self, key: &str, before: Option<&str>, count: usize) -> Result<Raw, StoreError> {
        let end = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        self.read("read history", self.timeout(), async |connection| {
            redis::cmd("XREVRANGE")
                .arg(key)
                .arg(end)
                .arg("-")
                .arg("COUNT")
                .arg(count)
                .query_async(connection)
                .await
        })
        .await
    }

    async fn read_entry(&self, key: &str, id: &str) -> Result<Raw, StoreError> {
        self.read("read history", self.timeout(), async |connection| {
            redis::cmd("XRANGE")
                .arg(key)
                .arg(id)
                .arg(id)
                .query_async(connection)
                .await
        })
        .await
    }
}

/// Whether a text can be the id of an entry: that of a Redis stream.
pub fn is_entry_id(text: &str) -> bool {
    text.split_once('-')
        .is_some_and(|(ms, sequence)| ms.parse::<u64>().is_ok() && sequence.parse::<u64>().is_ok())
}

/// `None` for an entry of a version that this one doesn't know.
fn entry(id: &str, fields: &[(String, String)]) -> Option<Entry> {
    let (_, text) = fields.iter().find(|(name, _)| name == "entry")?;
    let mut entry: Entry = serde_json::from_str(text).ok()?;
    id.clone_into(&mut entry.id);
    Some(entry)
}
