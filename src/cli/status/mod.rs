//! `trunkd status`: what each switch's gateways are doing, from Redis. Changes nothing.

mod model;
mod read;
mod select;
mod text;
mod view;
mod watch;

use std::process::ExitCode;

use jiff::Timestamp;

use super::{Shared, json_text, print, terminal};
use read::Source;
use select::Selection;

/// Something needs attention.
const NOT_WELL: u8 = 2;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show one screen of it, the worst first, and again every second until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let source = Source::open(shared)?;
    if arguments.watch {
        return watch::run(&source, &arguments.selection).await;
    }
    let mut status = source.read().await?;
    arguments.selection.apply(&mut status)?;
    print(&match arguments.json {
        true => json_text(&status)?,
        false => text::whole(&status, terminal::size(), Timestamp::now()),
    })?;
    Ok(match status.well {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(NOT_WELL),
    })
}
