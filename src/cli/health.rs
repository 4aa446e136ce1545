//! `trunkd health`: whether the service answers FreeSWITCH.

use std::process::ExitCode;

use super::{Shared, print};
use crate::operate::health::{Degraded, OwnHealth, own_health};
use crate::settings::Flags;
use crate::shown::shown_line;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the service listens, if it was started with --listen
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new().set("--listen", "http.listen", arguments.listen.clone()))?;
    let health = own_health(&settings).await?;
    print(&format!("{}\n", shown_line(&line(&health))))?;
    Ok(match health.is_serving {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn line(health: &OwnHealth) -> String {
    let version = &health.version;
    let serving = match health.is_serving {
        true => "serving",
        false => "not serving",
    };
    if health.degraded.is_empty() {
        return format!("trunkd {version}: {serving}");
    }
    let degraded: Vec<_> = health.degraded.iter().map(part).collect();
    format!("trunkd {version}: {serving}, degraded: {}", degraded.join("; "))
}

fn part(degraded: &Degraded) -> String {
    match degraded.reason.as_str() {
        "" => degraded.part.clone(),
        reason => format!("{} ({reason})", degraded.part),
    }
}
