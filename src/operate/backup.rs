//! A file of all gateways for each day.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::metrics::gauge;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::OperateError;
use super::export::LeftOut;
use super::files::{FilesError, Target, write_documents};
use super::service::Service;
use crate::documents::Format;
use crate::health::{Health, Part, State};
use crate::metrics;

const PREFIX: &str = "trunkd-gateways-";
const SUFFIX: &str = ".jsonl";
/// Backups have passwords.
const FOLDER_MODE: u32 = 0o700;
/// How often a serving trunkd looks whether a day has begun.
const INTERVAL: Duration = Duration::from_secs(600);
/// After a failure. Redis may still be starting.
const AGAIN: Duration = Duration::from_secs(30);

/// A backup that was written.
#[derive(Debug)]
pub struct Backup {
    pub path: PathBuf,
    pub gateways: usize,
    /// Fields that can't be documents.
    pub left_out: Vec<LeftOut>,
    /// Older ones that were removed.
    pub removed: usize,
}

impl Service {
    /// Writes a backup of today (UTC) into the folder, in place of an earlier one, and removes all but the
    /// newest `keep`. `None`: Redis has no gateways, and nothing was written or removed.
    ///
    /// # Errors
    /// Redis can't be read, or the folder not written.
    pub async fn back_up(&self, folder: &Path, keep: usize) -> Result<Option<Backup>, OperateError> {
        let exported = self.export_all(Format::Json).await?;
        // The backups of better days must not give way to empty ones.
        if exported.documents.is_empty() {
            return Ok(None);
        }
        let folder = folder.to_owned();
        let writing = spawn_blocking(move || {
            let failed = |source| FilesError::Write {
                path: folder.clone(),
                source,
            };
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(FOLDER_MODE)
                .create(&folder)
                .map_err(failed)?;
            let path = folder.join(file_name(Timestamp::now()));
            write_documents(&Target::File(path.clone()), &exported.documents, Format::Json)?;
            Ok(Backup {
                path,
                gateways: exported.documents.len(),
                left_out: exported.left_out,
                removed: remove_old(&folder, keep).map_err(failed)?,
            })
        });
        let written: Result<Backup, FilesError> = writing.await.map_err(|_| OperateError::Interrupted)?;
        Ok(Some(written?))
    }

    /// Writes one a day, forever, and says in `health` how that goes. Several trunkd may have one folder: who
    /// comes first writes it.
    pub async fn back_up_daily(&self, folder: &Path, keep: usize, health: &Health) {
        let mut failure = None;
        loop {
            // What is there already may be another trunkd's.
            let is_there = folder.join(file_name(Timestamp::now())).exists();
            let done = self.back_up_unless(is_there, folder, keep).await;
            let error = done.err().map(|error| error.to_string());
            if let Some(error) = error.as_ref().filter(|_| failure != error) {
                tracing::error!("no backup could be written: {error}");
            }
            failure = error;
            let (state, pause) = match failure {
                None => (State::Ok, INTERVAL),
                Some(_) => (State::Degraded, AGAIN),
            };
            gauge!(metrics::BACKUP_OK).set(f64::from(u8::from(state == State::Ok)));
            health.set(Part::Backup, state, failure.clone());
            sleep(pause).await;
        }
    }

    async fn back_up_unless(&self, is_there: bool, folder: &Path, keep: usize) -> Result<(), OperateError> {
        if !is_there && let Some(backup) = self.back_up(folder, keep).await? {
            let (path, gateways) = (backup.path.display(), backup.gateways);
            let left_out = backup.left_out.len();
            tracing::info!(gateways, left_out, "wrote the backup {path}");
        }
        Ok(())
    }
}

/// `trunkd-gateways-2026-11-26.jsonl`. Names are in the order of the days.
fn file_name(now: Timestamp) -> String {
    format!("{PREFIX}{}{SUFFIX}", now.strftime("%Y-%m-%d"))
}

fn remove_old(folder: &Path, keep: usize) -> std::io::Result<usize> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_backup(name))
        .collect();
    names.sort();
    let old = &names[..names.len().saturating_sub(keep)];
    for name in old {
        match fs::remove_file(folder.join(name)) {
            // Another trunkd was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(old.len())
}

fn is_backup(name: &str) -> bool {
    let day = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    day.is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_days_are_kept_and_other_files_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let day = |day: u32| format!("trunkd-gateways-2026-11-{day:02}.jsonl");
        for name in (1..=5)
            .map(day)
            .chain(["trunkd-gateways-x.jsonl".to_owned(), "notes".to_owned()])
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(remove_old(folder.path(), 2).unwrap(), 3);
        assert_eq!(remove_old(folder.path(), 2).unwrap(), 0);
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["notes", &*day(4), &*day(5), "trunkd-gateways-x.jsonl"]);
        assert_eq!(file_name("2026-11-05T23:59:59Z".parse().unwrap()), day(5));
    }
}
