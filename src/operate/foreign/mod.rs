//! Imports gateways of other systems: reads them, compares them with what is stored, and writes what was shown.
//!
//! A gateway that is stored already and differs is left alone unless the import overwrites. Keys that the source
//! can't have, such as tags, stay in any case.

mod switch;

use std::collections::HashSet;
use std::path::PathBuf;

use bytes::Bytes;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::service::Service;
use super::transfer::{Difference, Transfer, TransferItem, TransferOptions, TransferReport, Wanted};
use super::{Caller, OperateError};
use crate::access::Role;
use crate::desired::Current;
use crate::files;
use crate::gateway::{Document, DomainName, GatewayName, RawDomain};
use crate::import::{self, Import, ImportError, Imported, Options, ProfileNames, Verdict, fs_xml, fusionpbx, sheet};

pub use crate::import::fusionpbx::Naming;

/// Where gateways are read from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files and folders of FreeSWITCH, in this order.
    FsXml(Vec<PathBuf>),
    FusionPbx(PathBuf, Naming),
    Csv(PathBuf),
    /// What a switch has in its configuration now.
    Switch(String),
}

/// A file that was uploaded. It can include no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    FsXml,
    FusionPbx(Naming),
    Csv,
}

/// What the source doesn't say, or shall be otherwise.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The domain of all gateways.
    pub domain: Option<DomainName>,
    pub profiles: ProfileNames,
    /// FreeSWITCH's global variables: name and value.
    pub globals: Vec<(String, String)>,
}

/// What an import did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportAnswer {
    /// Nothing was written.
    pub dry_run: bool,
    /// Each gateway of the source: what was taken, changed and skipped, and why.
    pub import: Import,
    /// Gateways that are stored already, differ, and are left alone because the import doesn't overwrite.
    pub existing: Vec<TransferItem>,
    /// The difference between the rest and what is stored, and what became of it.
    pub difference: TransferReport,
}

/// An import that can be written.
pub struct ImportDraft {
    pub import: Import,
    /// See [`ImportAnswer::existing`].
    pub existing: Vec<TransferItem>,
    pub transfer: Transfer,
}

impl ImportDraft {
    /// For an answer that ends here.
    pub fn into_answer(self) -> ImportAnswer {
        ImportAnswer {
            dry_run: true,
            import: self.import,
            existing: self.existing,
            difference: self.transfer.into_report(),
        }
    }
}

impl Service {
    /// Reads gateways. Nothing is compared or written.
    ///
    /// # Errors
    /// [`OperateError::Import`] if the source can't be read at all; a switch that is not known or doesn't answer.
    pub async fn read_import(&self, source: Source, options: ImportOptions) -> Result<Import, OperateError> {
        let options = self.import_options(options);
        match source {
            Source::Switch(name) => switch::read(&self.settings, &name, &options).await,
            source => blocking(move || read_files(&source, &options)).await,
        }
    }

    /// Reads an upload of an operator.
    ///
    /// # Errors
    /// [`OperateError::Import`]; the caller's role is too low.
    pub async fn read_upload(
        &self,
        caller: &Caller,
        format: Format,
        name: String,
        bytes: Bytes,
        options: ImportOptions,
    ) -> Result<Import, OperateError> {
        caller.requires(Role::Operator)?;
        let options = self.import_options(options);
        blocking(move || read_bytes(format, &name, &bytes, &options)).await
    }

    fn import_options(&self, options: ImportOptions) -> Options {
        Options {
            domain: options
                .domain
                .map(|domain| String::from_utf8_lossy(domain.as_bytes()).into_owned()),
            profiles: options.profiles,
            globals: options.globals,
            rules: (*self.catalog.rules()).clone(),
        }
    }

    /// Compares an import with what is stored. Nothing is written.
    ///
    /// # Errors
    /// As [`Service::draft_transfer`].
    pub async fn draft_import(
        &self,
        caller: &Caller,
        import: Import,
        overwrite: bool,
    ) -> Result<ImportDraft, OperateError> {
        let mut wanted: Vec<_> = import.gateways.iter().filter_map(wanted).collect();
        let current = self.writable().await?;
        wanted.iter_mut().for_each(|wanted| keep_keys(wanted, &current));
        let all = self
            .draft_transfer(caller, wanted.clone(), TransferOptions::default())
            .await?;
        let is_existing = |item: &TransferItem| item.difference == Difference::Changed;
        if overwrite || !all.report().items.iter().any(is_existing) {
            return Ok(ImportDraft {
                import,
                existing: Vec::new(),
                transfer: all,
            });
        }
        let items = all.into_report().items;
        let existing: Vec<_> = items.into_iter().filter(is_existing).collect();
        let left: HashSet<_> = existing.iter().map(|item| (&*item.domain, &*item.name)).collect();
        let is_new = |wanted: &Wanted| !left.contains(&(&**wanted.domain.text(), wanted.name.as_str()));
        let rest = wanted.into_iter().filter(is_new).collect();
        let transfer = self.draft_transfer(caller, rest, TransferOptions::default()).await?;
        Ok(ImportDraft {
            import,
            existing,
            transfer,
        })
    }

    /// Writes what was drafted.
    ///
    /// # Errors
    /// As [`Service::write_transfer`].
    pub async fn write_import(&self, caller: &Caller, draft: ImportDraft) -> Result<ImportAnswer, OperateError> {
        Ok(ImportAnswer {
            dry_run: false,
            difference: self.write_transfer(caller, draft.transfer).await?,
            import: draft.import,
            existing: draft.existing,
        })
    }
}

/// What is not skipped has a name, a domain and a value that are good.
fn wanted(gateway: &Imported) -> Option<Wanted> {
    if gateway.verdict == Verdict::Skipped {
        return None;
    }
    Some(Wanted {
        domain: DomainName::from(gateway.domain.as_deref()?),
        name: GatewayName::parse(&gateway.name).ok()?,
        value: Some(Document::parse(gateway.value.as_bytes()).ok()?),
        at: gateway.place.to_string().into(),
    })
}

/// No other system has tags, say, or knows where a gateway shall run: what the source doesn't say stays.
fn keep_keys(wanted: &mut Wanted, current: &Current) {
    let Some(RawDomain::Hash(fields)) = current.domains.get(&wanted.domain) else {
        return;
    };
    let stored = fields.get(wanted.name.as_str().as_bytes());
    let stored = stored.and_then(|value| Document::parse(value).ok());
    if let (Some(value), Some(stored)) = (&mut wanted.value, stored) {
        value.keep_keys(&stored);
    }
}

fn read_files(source: &Source, options: &Options) -> Result<Import, ImportError> {
    let (format, path) = match source {
        Source::FsXml(paths) => return fs_xml::import(paths, options),
        Source::FusionPbx(path, naming) => (Format::FusionPbx(*naming), path),
        Source::Csv(path) => (Format::Csv, path),
        Source::Switch(_) => return Ok(Import::default()),
    };
    let name = path.display().to_string();
    let bytes = files::read(path, import::MAX_BYTES).map_err(|error| ImportError::unreadable(&name, error))?;
    read_bytes(format, &name, &bytes, options)
}

fn read_bytes(format: Format, name: &str, bytes: &[u8], options: &Options) -> Result<Import, ImportError> {
    match format {
        Format::FsXml => fs_xml::import_texts([(name, bytes)], options),
        Format::FusionPbx(naming) => fusionpbx::import(name, bytes, naming, options),
        Format::Csv => sheet::import(name, bytes, options),
    }
}

/// Large files take seconds.
async fn blocking(read: impl FnOnce() -> Result<Import, ImportError> + Send + 'static) -> Result<Import, OperateError> {
    let read = spawn_blocking(read).await.map_err(|_| OperateError::Interrupted)?;
    Ok(read?)
}
