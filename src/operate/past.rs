//! What happened, and undoing it.

use super::gateways::{GatewayRef, WriteOptions, Written};
use super::held::entry_for;
use super::service::Service;
use super::{Caller, OperateError};
use crate::access::Role;
use crate::desired::Values;
use crate::gateway::{DomainName, GatewayName};
use crate::history::{EditKind, Entry, Event, HistoryPage, HistoryQuery, is_entry_id};
use crate::language::{Text, text};

const NOT_KEPT: Text = text("what stood there before is no longer kept", "之前的内容已不再保存");

impl Service {
    /// Entries that the caller may see, newest first.
    ///
    /// # Errors
    /// The caller may not see the domain that he asks for, or Redis can't be read.
    pub async fn history(&self, caller: &Caller, query: &HistoryQuery) -> Result<HistoryPage, OperateError> {
        if let Some(domain) = &query.domain {
            caller.check_sees(domain)?;
        }
        let read = self.history.read(query, |entry| may_see(caller, entry)).await;
        let mut page = read.map_err(OperateError::at(&self.settings))?;
        page.entries = page.entries.into_iter().map(|entry| entry_for(caller, entry)).collect();
        Ok(page)
    }

    /// Writes back what stood before an edit, as an edit of its own.
    ///
    /// # Errors
    /// There is no such entry, or it is no edit of one gateway; the gateway was edited since, unless
    /// `options.force`; as [`Service::write_gateway`].
    pub async fn revert(&self, caller: &Caller, id: &str, options: &WriteOptions) -> Result<Written, OperateError> {
        let away = OperateError::at(&self.settings);
        let no_such = || OperateError::NoSuchEntry(id.to_owned());
        if !is_entry_id(id) {
            return Err(no_such());
        }
        let entry = self.history.entry(id).await.map_err(away)?;
        let entry = entry.filter(|entry| may_see(caller, entry)).ok_or_else(no_such)?;
        let of = edited(&entry)?;
        caller.may_edit(of.domain.text())?;
        let details = self.history.details(of.domain.text(), of.name.as_str(), id).await;
        let details = details.map_err(away)?.filter(|details| !details.is_empty());
        let values: Option<Values> = details.and_then(|details| serde_json::from_str(&details).ok());
        let values = values.ok_or(OperateError::CannotRevert(NOT_KEPT))?;
        self.write_back(caller, &of, &values, id, options).await
    }
}

/// Which gateway an entry edited.
fn edited(entry: &Entry) -> Result<GatewayRef, OperateError> {
    let Event::Edit { edit, .. } = &entry.event else {
        return Err(OperateError::CannotRevert(text(
            "it is no edit of a gateway",
            "它不是对网关的修改",
        )));
    };
    if *edit == EditKind::Rename {
        return Err(OperateError::CannotRevert(text(
            "rename the gateway back instead",
            "请改为把网关名称改回去",
        )));
    }
    let name = entry.gateway.as_deref().and_then(|name| GatewayName::parse(name).ok());
    match (&entry.domain, name) {
        (Some(domain), Some(name)) => Ok(GatewayRef {
            domain: DomainName::from_text(domain),
            name,
        }),
        _ => Err(OperateError::CannotRevert(text(
            "it names no gateway",
            "它没有指明网关",
        ))),
    }
}

/// Entries about domains are for those who see them, and entries about people are for admins. A
/// gateway that no domain has may be anybody's.
fn may_see(caller: &Caller, entry: &Entry) -> bool {
    match (&entry.domain, &entry.event) {
        (Some(domain), _) => caller.sees(domain),
        (None, Event::Access { .. }) => caller.requires(Role::Admin).is_ok(),
        (None, _) if entry.gateway.is_some() => caller.sees_all(),
        (None, _) => true,
    }
}
