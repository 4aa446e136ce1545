//! `trunkd restore`: writes back to Redis what it lost, as after a FLUSHALL: of the last good state, or of
//! backups and exports.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::terminal::{age, clock, confirm, gateways, size, wrap};
use super::transfer::{Asking, DIFFERS, show_and_write};
use super::{Shared, print};
use crate::desired::{LastGood, Missing};
use crate::operate::restore::{Loss, Lost};
use crate::operate::{Caller, Service, sources};
use crate::redis::Store;
use crate::settings::{Flags, Settings};
use crate::shown::{shown, shown_line};

/// How many gateways of a domain are listed by name.
const MAX_NAMED: usize = 20;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Backups or exports to restore from [default: the last good state of this machine]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The last good state, which is the default
    #[arg(long, value_name = "WHERE", value_parser = ["last-good"], conflicts_with = "files")]
    from: Option<String>,
    /// Also replace values that FreeSWITCH would refuse by their last valid version
    #[arg(long)]
    damaged: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Only show what would be written; exit status 2 if something would
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let asking = Asking {
        dry_run: arguments.dry_run,
        yes: arguments.yes,
    };
    if arguments.files.is_empty() {
        let store = sources::store(&settings)?;
        let loss = Loss::find(&settings, &store).await?;
        let code = missing(&settings, &store, &loss, asking).await?;
        return match arguments.damaged && code == ExitCode::SUCCESS {
            true => damaged(&settings, &loss.last_good, asking).await,
            false => Ok(code),
        };
    }
    let lost = match arguments.damaged {
        true => Lost::Both,
        false => Lost::Missing,
    };
    let service = Service::open(&settings)?;
    let transfer = service.lost_of_files(&Caller::cli(), &arguments.files, lost).await;
    let transfer = transfer.map_err(|error| error.naming_server(&settings))?;
    show_and_write(&settings, &service, transfer, asking).await
}

async fn damaged(settings: &Settings, last_good: &LastGood, asking: Asking) -> anyhow::Result<ExitCode> {
    let service = Service::open(settings)?;
    let transfer = service.damaged(&Caller::cli(), last_good).await;
    let transfer = transfer.map_err(|error| error.naming_server(settings))?;
    show_and_write(settings, &service, transfer, asking).await
}

/// Of the last good state, byte for byte and in one step.
async fn missing(settings: &Settings, store: &Store, loss: &Loss, asking: Asking) -> anyhow::Result<ExitCode> {
    print(&introduction(settings, loss))?;
    if loss.missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    loss.check()?;
    if asking.dry_run {
        return Ok(ExitCode::from(DIFFERS));
    }
    let question = "Write these back? What Redis holds stays as it is.";
    if !asking.yes && !confirm(question, "add --yes to write these back")? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let restored = loss.write_back(settings, store).await?;
    let planned = loss.gateways();
    let rest = match planned - restored.min(planned) {
        0 => String::new(),
        rest => format!("; {rest} came back meanwhile, and stay as they are"),
    };
    print(&format!("Restored {}{rest}.\n", gateways(restored)))?;
    Ok(ExitCode::SUCCESS)
}

/// How old the last good state is, and what Redis lacks of it.
fn introduction(settings: &Settings, loss: &Loss) -> String {
    let now = Timestamp::now();
    let mut lines = vec![format!(
        "The last good state in {} is of {} ({} ago).",
        settings.data_dir.display(),
        clock(loss.last_good.at, now),
        age(now.duration_since(loss.last_good.at))
    )];
    let redis = settings.redis.shown_url();
    lines.push(match loss.missing.is_empty() {
        true => format!("Redis ({redis}) lacks none of its gateways: there is nothing to restore."),
        false => format!("Redis ({redis}) lacks {} of it:", gateways(loss.gateways())),
    });
    lines.extend(loss.missing.iter().map(of_domain));
    let lines = lines.iter().flat_map(|line| {
        let line = shown_line(line).to_string();
        size().map_or_else(|| vec![line.clone()], |size| wrap(&line, size.columns))
    });
    lines.map(|line| line + "\n").collect()
}

/// `  acme, all of it: 3 gateways: gw1, gw2, gw3`.
fn of_domain(missing: &Missing) -> String {
    let names = missing.fields.keys().take(MAX_NAMED);
    let names: Vec<_> = names
        .map(|name| shown(&String::from_utf8_lossy(name)).to_string())
        .collect();
    let more = match missing.fields.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "  {}{}: {}: {}{more}",
        shown(missing.domain.text()),
        if missing.is_whole_domain { ", all of it" } else { "" },
        gateways(missing.fields.len()),
        names.join(", ")
    )
}
