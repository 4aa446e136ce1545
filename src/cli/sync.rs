//! `trunkd diff` and `trunkd sync`: files of gateways, compared with Redis and written to it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Shared;
use super::transfer::{Asking, show_and_write};
use crate::operate::files::read_paths;
use crate::operate::transfer::{SetName, TransferOptions, Wanted};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;

/// Which files.
#[derive(clap::Args)]
struct Files {
    /// A file or folder of documents, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
    /// The folder that ${file:…} are in, if not that of the documents
    #[arg(long, value_name = "DIR")]
    secret_files: Option<PathBuf>,
    /// Take also what FreeSWITCH would refuse
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
pub(super) struct Diff {
    #[command(flatten)]
    files: Files,
}

#[derive(clap::Args)]
pub(super) struct Sync {
    #[command(flatten)]
    files: Files,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Only show the difference; exit status 2 if there is one
    #[arg(long)]
    dry_run: bool,
    /// The name of this set of files, remembered for each of its gateways
    #[arg(long, value_name = "NAME")]
    set: Option<SetName>,
    /// Remove what the set wrote before and the files no longer have
    #[arg(long, requires = "set")]
    prune: bool,
    /// Prune also if the files have no gateway at all
    #[arg(long, requires = "prune")]
    allow_empty: bool,
}

pub(super) async fn diff(shared: &Shared, arguments: &Diff) -> anyhow::Result<ExitCode> {
    let asking = Asking {
        dry_run: true,
        yes: false,
    };
    let options = TransferOptions {
        force: arguments.files.force,
        ..TransferOptions::default()
    };
    run(shared, &arguments.files, options, asking).await
}

pub(super) async fn sync(shared: &Shared, arguments: &Sync) -> anyhow::Result<ExitCode> {
    let asking = Asking {
        dry_run: arguments.dry_run,
        yes: arguments.yes,
    };
    let options = TransferOptions {
        force: arguments.files.force,
        set: arguments.set.clone(),
        prune: arguments.prune,
        allow_empty: arguments.allow_empty,
    };
    run(shared, &arguments.files, options, asking).await
}

async fn run(shared: &Shared, files: &Files, options: TransferOptions, asking: Asking) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let wanted = read(files)?;
    let service = Service::open(&settings)?;
    let transfer = service.draft_transfer(&Caller::cli(), wanted, options).await;
    let transfer = transfer.map_err(|error| error.naming_server(&settings))?;
    show_and_write(&settings, &service, transfer, asking).await
}

fn read(files: &Files) -> Result<Vec<Wanted>, OperateError> {
    Ok(read_paths(&files.paths, files.secret_files.as_deref())?)
}
