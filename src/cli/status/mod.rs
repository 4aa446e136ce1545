//! `trunkd status`: what each switch's gateways are doing, from Redis. Changes nothing.

mod note;
mod text;
mod watch;

pub(super) use note::{note, states_text};

use std::process::ExitCode;

use jiff::Timestamp;

use super::{Shared, json_text, print, terminal};
use crate::operate::status::{Selection, StateFilter, StatusSource};
use crate::settings::Flags;
use crate::shown::shown_line;

/// Something needs attention.
const NOT_WELL: u8 = 2;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only these gateways
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only this switch; may be repeated
    #[arg(long = "switch", visible_alias = "node", value_name = "SWITCHNAME")]
    switches: Vec<String>,
    /// Only gateways in this state: up, down, missing, trying, unknown, parked, or one of FreeSWITCH's
    /// states; may be repeated
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<StateFilter>,
    /// Only gateways that need attention
    #[arg(long)]
    failing: bool,
    /// Only gateways of this domain; may be repeated
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// At most this many gateways, worst first
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show one screen of it, the worst first, and again every second until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (source, unchecked) = StatusSource::open(shared.settings(Flags::new())?)?;
    if let Some(error) = unchecked {
        let error = error.to_string();
        eprintln!(
            "trunkd: gateways are not checked against the templates: {}",
            shown_line(&error)
        );
    }
    let selection = Selection {
        names: arguments.names.clone(),
        switches: arguments.switches.clone(),
        states: arguments.states.clone(),
        failing: arguments.failing,
        domains: arguments.domains.clone(),
        limit: arguments.limit,
    };
    if arguments.watch {
        return watch::run(&source, &selection).await;
    }
    let mut status = source.read(arguments.json || selection.is_everywhere()).await?;
    selection.apply(&mut status)?;
    print(&match arguments.json {
        true => json_text(&status)?,
        false => text::whole(&status, terminal::size(), Timestamp::now()),
    })?;
    Ok(match status.well {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(NOT_WELL),
    })
}
