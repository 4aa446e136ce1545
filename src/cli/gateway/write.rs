//! `trunkd gateway delete`, `copy` and `rename`.

use std::process::ExitCode;

use super::super::terminal::confirm;
use super::super::{Shared, print};
use super::outcome::{Done, finish, place};
use super::target::{Target, Writing};
use crate::gateway::GatewayName;
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;

#[derive(clap::Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    target: Target,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    writing: Writing,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Copy {
    #[command(flatten)]
    target: Target,
    /// The name of the copy
    to: GatewayName,
    #[command(flatten)]
    writing: Writing,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Rename {
    #[command(flatten)]
    target: Target,
    /// The new name
    to: GatewayName,
    #[command(flatten)]
    writing: Writing,
}

pub(super) async fn delete(shared: &Shared, arguments: &Delete) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let (caller, options) = (Caller::cli(), arguments.writing.options());
    let naming = |error: OperateError| error.naming_server(&settings);
    let of = arguments.target.find(&service, &caller).await.map_err(naming)?;
    // Nobody is asked about a gateway that there isn't.
    service.gateway(&caller, &of).await.map_err(naming)?;
    let question = format!("Delete gateway {}?", place(&of));
    if !arguments.yes && !options.dry_run && !confirm(&question, "add --yes to delete it")? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let written = service.delete_gateway(&caller, &of, &options).await;
    finish(&settings, written, options.dry_run, |_| {
        Done::new("delete", "Deleted", &of)
    })
}

pub(super) async fn copy(shared: &Shared, arguments: &Copy) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let (caller, options) = (Caller::cli(), arguments.writing.options());
    let of = arguments.target.find(&service, &caller).await;
    let of = of.map_err(|error| error.naming_server(&settings))?;
    let written = service.copy_gateway(&caller, &of, &arguments.to, &options).await;
    let what = format!("{} to {}, disabled", place(&of), arguments.to);
    finish(&settings, written, options.dry_run, |_| {
        Done::described("copy", "Copied", what)
    })
}

pub(super) async fn rename(shared: &Shared, arguments: &Rename) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let (caller, options) = (Caller::cli(), arguments.writing.options());
    let of = arguments.target.find(&service, &caller).await;
    let of = of.map_err(|error| error.naming_server(&settings))?;
    let written = service.rename_gateway(&caller, &of, &arguments.to, &options).await;
    let what = format!("{} to {}", place(&of), arguments.to);
    finish(&settings, written, options.dry_run, |_| {
        Done::described("rename", "Renamed", what)
    })
}
