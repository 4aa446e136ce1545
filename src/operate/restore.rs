//! Writes back to Redis what it lost, of the last good state or of files.

use std::path::PathBuf;

use super::files::read_paths;
use super::service::Service;
use super::transfer::{Transfer, TransferOptions, Wanted};
use super::{Caller, OperateError};
use crate::desired::{Current, LastGood, Missing};
use crate::gateway::{Document, GatewayName, RawDomain, RawDomains, Rules};
use crate::redis::Store;
use crate::settings::Settings;

/// The last good state, and what Redis lacks of it.
pub struct Loss {
    pub last_good: LastGood,
    pub missing: Vec<Missing>,
}

impl Loss {
    /// # Errors
    /// There is no last good state, or Redis can't be read.
    pub async fn find(settings: &Settings, store: &Store) -> Result<Self, OperateError> {
        let folder = settings.data_dir.display().to_string();
        let last_good = LastGood::load(&settings.data_dir)?.ok_or(OperateError::NoLastGood(folder))?;
        let missing = store.missing(&last_good).await.map_err(OperateError::at(settings))?;
        Ok(Self { last_good, missing })
    }

    pub fn gateways(&self) -> usize {
        self.missing.iter().map(|missing| missing.fields.len()).sum()
    }

    /// # Errors
    /// A domain's key has another type, so that nothing can be written there.
    pub fn check(&self) -> Result<(), OperateError> {
        let wrong = self.missing.iter().find_map(|missing| {
            let kind = missing.wrong_type.clone()?;
            let domain = missing.domain.text().to_string();
            Some(OperateError::WrongType { domain, kind })
        });
        wrong.map_or(Ok(()), Err)
    }

    /// Writes everything that is still missing, in one step, and returns how many gateways.
    ///
    /// # Errors
    /// Redis can't be written.
    pub async fn write_back(&self, settings: &Settings, store: &Store) -> Result<usize, OperateError> {
        let written = store.put_back(&self.last_good, &self.missing).await;
        written.map_err(OperateError::at(settings))
    }
}

/// What a restore takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Gateways that Redis doesn't have.
    Missing,
    /// Those whose value FreeSWITCH would refuse.
    Damaged,
    Both,
}

impl Service {
    /// What Redis lost of these files. Everything else in them is left alone.
    ///
    /// # Errors
    /// A file can't be read; otherwise as [`Service::draft_transfer`].
    pub async fn lost_of_files(
        &self,
        caller: &Caller,
        paths: &[PathBuf],
        lost: Lost,
    ) -> Result<Transfer, OperateError> {
        let wanted = read_paths(paths, None)?;
        self.lost(caller, wanted, lost).await
    }

    /// Gateways whose value FreeSWITCH would refuse, if the last good state has a valid version of them.
    ///
    /// # Errors
    /// As [`Service::draft_transfer`].
    pub async fn damaged(&self, caller: &Caller, last_good: &LastGood) -> Result<Transfer, OperateError> {
        let wanted = last_valid(&last_good.domains);
        self.lost(caller, wanted, Lost::Damaged).await
    }

    async fn lost(&self, caller: &Caller, mut wanted: Vec<Wanted>, lost: Lost) -> Result<Transfer, OperateError> {
        let (current, rules) = (self.writable().await?, self.catalog.rules());
        wanted.retain(|wanted| wanted.value.is_some() && is_lost(&current, &rules, wanted, lost));
        // What was refused before is written back as well.
        let options = TransferOptions {
            force: true,
            ..TransferOptions::default()
        };
        self.draft_transfer(caller, wanted, options).await
    }
}

fn last_valid(domains: &RawDomains) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (domain, raw) in domains {
        let RawDomain::Hash(fields) = raw else { continue };
        wanted.extend(fields.iter().filter_map(|(name, value)| {
            let name = std::str::from_utf8(name).ok()?;
            Some(Wanted {
                domain: domain.clone(),
                name: GatewayName::parse(name).ok()?,
                value: Some(Document::parse(value).ok()?),
                at: "last good".into(),
            })
        }));
    }
    wanted
}

fn is_lost(current: &Current, rules: &Rules, wanted: &Wanted, lost: Lost) -> bool {
    let name = wanted.name.as_str().as_bytes();
    let stored = match current.domains.get(&wanted.domain) {
        Some(RawDomain::Hash(fields)) => fields.get(name),
        Some(RawDomain::WrongType(_)) | None => None,
    };
    let is_refused = |value| {
        let parsed = crate::gateway::parse(wanted.domain.text(), name, value, rules);
        parsed.gateway.is_none()
    };
    match stored {
        None => lost != Lost::Damaged,
        Some(value) => lost != Lost::Missing && is_refused(value),
    }
}
