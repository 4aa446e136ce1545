//! Writes back what stood before an edit.

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::GatewayRef;
use super::read::stored;
use super::write::{WriteOptions, Written};
use crate::desired::{Current, Values};
use crate::gateway::Document;
use crate::history::EditKind;

impl Service {
    /// Writes back an earlier value.
    pub(in crate::operate) async fn write_back(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        values: &Values,
        reverts: &str,
        options: &WriteOptions,
    ) -> Result<Written, OperateError> {
        let bytes = |value: &Option<String>| value.as_ref().map(|value| value.as_bytes().to_vec());
        let (back, left) = (bytes(&values.before), bytes(&values.after));
        let draft = |current: &Current| {
            let now = stored(current, of);
            let revert = Document::byte_changes(now, back.as_deref());
            if now != left.as_deref() && !options.force {
                let since = Document::byte_changes(left.as_deref(), now);
                return Err(OperateError::EditedSince { since, revert });
            }
            let document = back.as_deref().and_then(|value| Document::parse(value).ok());
            let known = now.and_then(|value| Document::parse(value).ok());
            let mut draft = match (&back, &document) {
                // What stood there was no object either.
                (Some(_), None) => self.draft(of, now, known.as_ref(), None, options)?,
                _ => self.draft(of, now, known.as_ref(), document.as_ref(), options)?,
            };
            draft.after.clone_from(&back);
            draft.reverts = Some(reverts.to_owned());
            Ok(draft)
        };
        self.write(caller, of, options, draft, |_| EditKind::Revert).await
    }
}
