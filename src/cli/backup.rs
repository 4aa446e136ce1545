//! `trunkd backup`: writes a file of all gateways.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Shared, export, print};
use crate::operate::Service;
use crate::settings::Flags;
use crate::shown::shown_line;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder [default: backup.dir of the settings]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The days that are kept [default: backup.keep of the settings]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=1000))]
    keep: Option<u16>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let Some(dir) = arguments.dir.as_ref().or(settings.backup.dir.as_ref()) else {
        anyhow::bail!("there is no folder for backups: set backup.dir, or name one with --dir");
    };
    let keep = arguments.keep.map_or(settings.backup.keep, usize::from);
    let service = Service::open(&settings)?;
    let written = service.back_up(dir, keep).await;
    let Some(backup) = written.map_err(|error| error.naming_server(&settings))? else {
        anyhow::bail!("Redis has no gateways, so nothing was written, and older backups stay");
    };
    let line = format!("Wrote {} gateways to {}.", backup.gateways, backup.path.display());
    print(&format!("{}\n", shown_line(&line)))?;
    Ok(export::report(&backup.left_out))
}
