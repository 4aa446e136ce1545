//! Why a webhook can't post at all.

use std::path::PathBuf;

use crate::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("webhook.ca: cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: FileError },
    #[error(
        "webhook.ca: {} contains no certificate that can be an authority's, or a damaged one: it must be PEM, with \
         BEGIN CERTIFICATE lines",
        path.display()
    )]
    Authorities { path: PathBuf },
    #[error("webhook: no HTTP client: {0}")]
    Client(String),
}
