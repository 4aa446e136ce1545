//! Writes back to Redis what it lost of the last good state.

use super::OperateError;
use crate::desired::{LastGood, Missing};
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
