//! Imports of people, in two steps: what they send is kept while they look at the difference, and then exactly
//! that is written.
//!
//! It is kept in Redis, since another trunkd may answer the next request, and sealed, since it may hold
//! passwords. Each step drafts it again: [`UploadDraft::digest`] says whether the difference is still the one
//! that was shown.

mod places;

pub use places::UploadPlace;
pub(super) use places::UploadPlaces;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::foreign::{Format, ImportAnswer, ImportDraft, ImportOptions, Naming, Source};
use super::listing::Offers;
use super::sealed::Seal;
use super::service::Service;
use super::transfer::{DomainOutcome, TransferOptions};
use super::{Caller, OperateError};
use crate::access::Role;
use crate::control::UPLOAD_LASTS;
use crate::gateway::DomainName;
use crate::import::{Import, ImportError, MAX_BYTES};

/// The largest file, in bytes.
pub const MAX_UPLOAD_BYTES: usize = MAX_BYTES as usize;

const SEAL: Seal = Seal {
    label: "sealed\0upload",
    lasts: SignedDuration::from_secs(UPLOAD_LASTS.as_secs().cast_signed()),
};

/// What somebody sent to import.
#[derive(Clone, Serialize, Deserialize)]
pub struct Upload {
    pub kind: Kind,
    /// Of the file, or of the switch.
    pub name: String,
    /// The domain of all gateways. Not for documents, which name theirs.
    pub domain: Option<String>,
    /// The profile of gateways whose source names none. Not for documents.
    pub profile: Option<String>,
    /// The file. It may hold passwords.
    #[serde(skip)]
    pub bytes: Bytes,
}

/// What an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// trunkd's own documents, as YAML or JSON.
    Documents,
    FsXml,
    /// FusionPBX's gateways, called by their UUID.
    Fusionpbx,
    /// FusionPBX's gateways, called by their name.
    FusionpbxNames,
    Csv,
    /// No file: what a switch has in its configuration now.
    Switch,
}

/// An upload, and what it would do.
pub struct UploadDraft {
    pub upload: Upload,
    pub draft: ImportDraft,
    /// Of what would be written.
    pub digest: String,
}

/// What became of an upload that was confirmed.
pub enum UploadOutcome {
    Written(Box<ImportAnswer>),
    /// The difference is not the one that was shown, and nothing was written.
    OtherDifference(Box<UploadDraft>),
}

impl Service {
    /// What the page offers for an import: domains, profiles, and, if the caller may import from them, switches.
    ///
    /// # Errors
    /// The caller is no operator; Redis can't be read.
    pub async fn import_offers(&self, caller: &Caller) -> Result<Offers, OperateError> {
        caller.requires(Role::Operator)?;
        let mut offers = self.offers(caller).await?;
        let is_configured = |name: &String| self.settings.switches.iter().any(|switch| switch.name == *name);
        let may_ask = caller.sees_all();
        offers.names.switches.retain(|name| may_ask && is_configured(name));
        Ok(offers)
    }

    /// A place to read an upload.
    ///
    /// # Errors
    /// The caller is no operator; [`OperateError::TooManyUploads`].
    pub async fn upload_place(&self, caller: &Caller) -> Result<UploadPlace, OperateError> {
        caller.requires(Role::Operator)?;
        self.uploads.take().await
    }

    /// Keeps an upload that can be drafted, for this caller alone. The answer is its id.
    ///
    /// # Errors
    /// It is empty or can't be read; the caller may not edit one of its domains; Redis can't be read or written.
    pub async fn keep_upload(
        &self,
        caller: &Caller,
        upload: Upload,
        _place: UploadPlace,
    ) -> Result<String, OperateError> {
        if upload.kind != Kind::Switch && upload.bytes.trim_ascii().is_empty() {
            return Err(ImportError::empty(&upload.name).into());
        }
        self.draft_sent(caller, &upload, false).await?;
        let key = self.secret_key().await?;
        let head = serde_json::to_vec(&upload).unwrap_or_default();
        let now = Timestamp::now();
        let sealed = SEAL.seal(&key, caller, &[&head, b"\n", &upload.bytes], now);
        let sealed = sealed.ok_or(OperateError::Interrupted)?;
        let id = format!("{}x{:032x}", now.as_millisecond(), rand::random::<u128>());
        let kept = self.store.keep_upload(&owner(caller), &id, &sealed).await;
        kept.map_err(OperateError::writing(&self.settings))?;
        Ok(id)
    }

    /// What an upload would do. Nothing is written.
    ///
    /// # Errors
    /// [`OperateError::NoSuchUpload`]; otherwise as [`Service::keep_upload`].
    pub async fn draft_upload(&self, caller: &Caller, id: &str, overwrite: bool) -> Result<UploadDraft, OperateError> {
        let _place = self.upload_place(caller).await?;
        self.draft_kept(caller, id, overwrite).await
    }

    /// Writes an upload if it does what was shown, and forgets it once all is done.
    ///
    /// # Errors
    /// As [`Service::draft_upload`] and [`Service::write_import`].
    pub async fn write_upload(
        &self,
        caller: &Caller,
        id: &str,
        overwrite: bool,
        digest: &str,
    ) -> Result<UploadOutcome, OperateError> {
        let _place = self.upload_place(caller).await?;
        let drafted = self.draft_kept(caller, id, overwrite).await?;
        if drafted.digest != digest {
            return Ok(UploadOutcome::OtherDifference(Box::new(drafted)));
        }
        let answer = self.write_import(caller, drafted.draft).await?;
        let mut domains = answer.difference.domains.iter();
        if !domains.any(|domain| domain.outcome == DomainOutcome::ChangedMeanwhile) {
            // It expires anyway.
            let _ = self.store.drop_upload(&owner(caller), id).await;
        }
        Ok(UploadOutcome::Written(Box::new(answer)))
    }

    /// Forgets an upload.
    ///
    /// # Errors
    /// The caller is no operator; Redis can't be written.
    pub async fn drop_upload(&self, caller: &Caller, id: &str) -> Result<(), OperateError> {
        caller.requires(Role::Operator)?;
        let dropped = self.store.drop_upload(&owner(caller), id).await;
        dropped.map_err(OperateError::writing(&self.settings))
    }

    async fn draft_kept(&self, caller: &Caller, id: &str, overwrite: bool) -> Result<UploadDraft, OperateError> {
        let sealed = self.store.read_upload(&owner(caller), id).await;
        let sealed = sealed.map_err(OperateError::at(&self.settings))?;
        let key = self.secret_key().await?;
        let opened = sealed.and_then(|sealed| SEAL.open(&key, caller, sealed, Timestamp::now()));
        let upload = opened.and_then(Upload::parse).ok_or(OperateError::NoSuchUpload)?;
        let draft = self.draft_sent(caller, &upload, overwrite).await?;
        let digesting = spawn_blocking(move || UploadDraft {
            digest: draft.transfer.digest(&key),
            draft,
            upload,
        });
        digesting.await.map_err(|_| OperateError::Interrupted)
    }

    async fn draft_sent(&self, caller: &Caller, upload: &Upload, overwrite: bool) -> Result<ImportDraft, OperateError> {
        let (name, bytes) = (upload.name.clone(), upload.bytes.clone());
        let import = match upload.kind.format() {
            Some(format) => self.read_upload(caller, format, name, bytes, upload.options()).await?,
            None if upload.kind == Kind::Switch => {
                // It has gateways of every domain, with their passwords.
                if !caller.sees_all() {
                    return Err(OperateError::AllDomains);
                }
                self.read_import(Source::Switch(name), upload.options()).await?
            }
            None => {
                let options = TransferOptions::default();
                return Ok(ImportDraft {
                    transfer: self.draft_documents(caller, bytes, &name, None, options).await?,
                    import: Import::default(),
                    existing: Vec::new(),
                });
            }
        };
        self.draft_import(caller, import, overwrite).await
    }
}

impl Upload {
    /// A line of JSON, then the file.
    fn parse(kept: Vec<u8>) -> Option<Self> {
        let kept = Bytes::from(kept);
        let end = memchr::memchr(b'\n', &kept)?;
        let upload: Self = serde_json::from_slice(&kept[..end]).ok()?;
        Some(Self {
            bytes: kept.slice(end + 1..),
            ..upload
        })
    }

    fn options(&self) -> ImportOptions {
        let mut options = ImportOptions {
            domain: self.domain.as_deref().map(DomainName::from),
            ..ImportOptions::default()
        };
        options.profiles.default.clone_from(&self.profile);
        options
    }
}

impl Kind {
    /// `None`: it is no file of another system.
    fn format(self) -> Option<Format> {
        match self {
            Self::Documents | Self::Switch => None,
            Self::FsXml => Some(Format::FsXml),
            Self::Fusionpbx => Some(Format::FusionPbx(Naming::Uuid)),
            Self::FusionpbxNames => Some(Format::FusionPbx(Naming::Gateway)),
            Self::Csv => Some(Format::Csv),
        }
    }
}

fn owner(caller: &Caller) -> String {
    caller.identity.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_read_back_as_it_was_kept() {
        let upload = Upload {
            kind: Kind::FusionpbxNames,
            name: "网关\n.csv".to_owned(),
            domain: Some("acme".to_owned()),
            profile: None,
            bytes: Bytes::from_static(b"name,realm\n\n\xff"),
        };
        let head = serde_json::to_vec(&upload).unwrap();
        let read = Upload::parse([&head, &b"\n"[..], &upload.bytes].concat()).unwrap();
        assert_eq!(
            (read.kind, read.name, read.bytes),
            (upload.kind, upload.name, upload.bytes)
        );
        assert_eq!((read.domain, read.profile), (upload.domain, upload.profile));
        assert!(Upload::parse(b"{}\nx".to_vec()).is_none() && Upload::parse(b"no line".to_vec()).is_none());
    }
}
