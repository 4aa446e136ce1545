//! Shows a secret.

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::GatewayRef;
use super::read::stored;
use super::write::entry;
use crate::access::Role;
use crate::gateway::Document;
use crate::history::{EditKind, Entry, Event};
use crate::redis::StoreError;

impl Service {
    /// A secret in plain text. That it was shown is recorded first.
    ///
    /// # Errors
    /// The caller is no admin, there is no such secret, or Redis can't be written.
    pub async fn reveal_secret(&self, caller: &Caller, of: &GatewayRef, secret: &str) -> Result<String, OperateError> {
        caller.requires(Role::Admin)?;
        caller.check_sees(of.domain.text())?;
        let current = self.writable().await?;
        let value = stored(&current, of).ok_or_else(|| Self::missing(&current, of))?;
        let document = Document::parse(value).map_err(|_| OperateError::NotAnObject(of.name.to_string()))?;
        let name = secret.rsplit('.').next().unwrap_or(secret);
        let text = document.secret(name).ok_or_else(|| OperateError::NoSecret {
            gateway: of.name.to_string(),
            secret: secret.to_owned(),
        })?;
        let reveal = Entry {
            event: Event::Reveal {
                field: format!("param.{name}"),
            },
            ..entry(caller, of, EditKind::Change, Vec::new())
        };
        let recorded: Result<String, StoreError> = self.history.record(&reveal).await;
        recorded.map_err(OperateError::writing(&self.settings))?;
        Ok(text)
    }
}
