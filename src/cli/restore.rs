//! `trunkd restore`: writes back to Redis what it lost of the last good state, as after a FLUSHALL.

use std::process::ExitCode;

use jiff::Timestamp;

use super::terminal::{age, clock, confirm, size, wrap};
use super::{Shared, print};
use crate::desired::Missing;
use crate::operate::restore::Loss;
use crate::operate::sources;
use crate::settings::{Flags, Settings};
use crate::shown::{shown, shown_line};

/// How many gateways of a domain are listed by name.
const MAX_NAMED: usize = 20;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = sources::store(&settings)?;
    let loss = Loss::find(&settings, &store).await?;
    print(&introduction(&settings, &loss))?;
    if loss.missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    loss.check()?;
    let question = "Write these back? What Redis holds stays as it is.";
    if !arguments.yes && !confirm(question, "add --yes to write these back")? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let restored = loss.write_back(&settings, &store).await?;
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

fn gateways(count: usize) -> String {
    match count {
        1 => "1 gateway".to_owned(),
        _ => format!("{count} gateways"),
    }
}
