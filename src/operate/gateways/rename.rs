//! Renames a gateway.

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::GatewayRef;
use super::read::stored;
use super::write::{ATTEMPTS, WriteOptions, Written, entry};
use crate::desired::{Edit, Edited};
use crate::gateway::{Document, GatewayName};
use crate::history::{EditKind, Event};

impl Service {
    /// Gives a gateway another name, in one step. Switches stop the old one and start the new one.
    ///
    /// # Errors
    /// As [`Service::copy_gateway`].
    pub async fn rename_gateway(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        to: &GatewayName,
        options: &WriteOptions,
    ) -> Result<Written, OperateError> {
        caller.may_edit(of.domain.text())?;
        let renamed = GatewayRef {
            domain: of.domain.clone(),
            name: to.clone(),
        };
        for _ in 0..ATTEMPTS {
            let current = self.writable().await?;
            self.check_precondition(caller, &current, of, options).await?;
            let before = stored(&current, of).ok_or_else(|| Self::missing(&current, of))?;
            if stored(&current, &renamed).is_some() {
                return Err(OperateError::NameTaken(to.to_string()));
            }
            let value = Document::parse(before).map_err(|_| OperateError::NotAnObject(of.name.to_string()))?;
            let mut draft = self.draft(&renamed, None, None, Some(&value), options)?;
            // As it stands, and not as we would write it.
            draft.after = Some(before.to_vec());
            if options.dry_run {
                return self.would_be(caller, &current, &renamed, draft, options).await;
            }
            let edits = rename(caller, of, to, before, &value);
            let edited = self.history.edit(&of.domain, &edits).await;
            match edited.map_err(OperateError::writing(&self.settings))? {
                Edited::Done(ids) => {
                    let id = ids.into_iter().last().unwrap_or_default();
                    return self.written(caller, &current, &renamed, draft, options, id).await;
                }
                Edited::Conflict => {}
                Edited::WrongType(kind) => {
                    let domain = of.domain.to_string();
                    return Err(OperateError::WrongType { domain, kind });
                }
            }
        }
        Err(OperateError::Contended(of.name.to_string()))
    }
}

/// The two edits of a rename.
fn rename(caller: &Caller, of: &GatewayRef, to: &GatewayName, value: &[u8], document: &Document) -> [Edit; 2] {
    let side = |name: &GatewayName, other: &GatewayName, before: Option<&[u8]>, after: Option<&[u8]>| {
        let of = GatewayRef {
            domain: of.domain.clone(),
            name: name.clone(),
        };
        let known = |value: Option<&[u8]>| value.map(|_| document);
        let mut entry = entry(
            caller,
            &of,
            EditKind::Rename,
            Document::changes(known(before), known(after)),
        );
        if let Event::Edit { other_name, .. } = &mut entry.event {
            *other_name = Some(other.to_string());
        }
        Edit {
            gateway: name.clone(),
            before: before.map(<[u8]>::to_vec),
            after: after.map(<[u8]>::to_vec),
            entry,
        }
    };
    [
        side(&of.name, to, Some(value), None),
        side(to, &of.name, None, Some(value)),
    ]
}
