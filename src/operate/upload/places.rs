//! How many imports are read at a time: each may take some hundred MiB of memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::super::OperateError;

const MOST: usize = 4;
/// Longer than reading a large file takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places of one trunkd.
pub(in crate::operate) struct UploadPlaces(Arc<Semaphore>);

/// One place, free again when it is dropped.
pub struct UploadPlace {
    _permit: OwnedSemaphorePermit,
}

impl Default for UploadPlaces {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl UploadPlaces {
    pub(super) async fn take(&self) -> Result<UploadPlace, OperateError> {
        let permit = timeout(PATIENCE, self.0.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| OperateError::TooManyUploads)?;
        let permit = permit.map_err(|_| OperateError::Interrupted)?;
        Ok(UploadPlace { _permit: permit })
    }
}
