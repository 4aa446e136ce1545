//! Documents that a program sends: the difference, and writing it.

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::files::{SecretSource, format_of_text, read_text};
use super::service::Service;
use super::transfer::{Transfer, TransferOptions, TransferReport};
use super::{Caller, OperateError};
use crate::access::Role;
use crate::documents::Format;

/// What errors and reports call the text.
const PLACE: &str = "body";

impl Service {
    /// Compares documents with Redis and, unless it is a dry run, writes them: all or nothing per domain.
    /// `format` is guessed if nobody said it. Secrets must be in the text, or are left as they are.
    ///
    /// # Errors
    /// The text can't be read; otherwise as [`Service::draft_transfer`] and [`Service::write_transfer`].
    pub async fn import(
        &self,
        caller: &Caller,
        text: Bytes,
        format: Option<Format>,
        options: TransferOptions,
        dry_run: bool,
    ) -> Result<TransferReport, OperateError> {
        let transfer = self.draft_documents(caller, text, PLACE, format, options).await?;
        match dry_run {
            true => Ok(transfer.into_report()),
            false => self.write_transfer(caller, transfer).await,
        }
    }

    /// Compares documents with Redis. `place` is what errors and reports call the text.
    pub(super) async fn draft_documents(
        &self,
        caller: &Caller,
        text: Bytes,
        place: &str,
        format: Option<Format>,
        options: TransferOptions,
    ) -> Result<Transfer, OperateError> {
        caller.requires(Role::Operator)?;
        let place = place.to_owned();
        let reading = spawn_blocking(move || {
            let format = format.unwrap_or_else(|| format_of_text(&text));
            read_text(&text, format, &place, &SecretSource::None)
        });
        let wanted = reading.await.map_err(|_| OperateError::Interrupted)??;
        self.draft_transfer(caller, wanted, options).await
    }
}
