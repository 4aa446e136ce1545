//! `trunkd gateway get` and `history`.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Shared, history, json_text, print, terminal};
use super::target::{Target, domain};
use super::text;
use crate::gateway::{DomainName, GatewayName};
use crate::history::HistoryQuery;
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Print one JSON object, as the API answers
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(in crate::cli) struct History {
    name: GatewayName,
    /// Only in this domain; its last 200 entries are always there
    #[arg(long, value_parser = domain)]
    domain: Option<DomainName>,
    /// Only the last 2h, 3d, …
    #[arg(long, value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// At most this many entries
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// JSON, newest first, as the API answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open_with_last_good(&settings)?;
    let (caller, naming) = (Caller::cli(), |error: OperateError| error.naming_server(&settings));
    let of = arguments.target.find(&service, &caller).await.map_err(naming)?;
    let gateway = service.gateway(&caller, &of).await.map_err(naming)?;
    print(&match arguments.json {
        true => json_text(&gateway)?,
        false => text::detail(&gateway, terminal::size(), Timestamp::now()),
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn history(shared: &Shared, arguments: &History) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let domain = match &arguments.domain {
        Some(domain) => Some(domain.clone()),
        // A deleted gateway is in no domain, and has a history all the same.
        None => match service.domain_of(&Caller::cli(), &arguments.name).await {
            Ok(domain) => Some(domain),
            Err(OperateError::InNoDomain(_) | OperateError::InSeveralDomains { .. }) => None,
            Err(error) => return Err(error.naming_server(&settings).into()),
        },
    };
    let query = HistoryQuery {
        domain: domain.map(|domain| domain.to_string()),
        gateway: Some(arguments.name.to_string()),
        limit: arguments.limit.into(),
        ..HistoryQuery::default()
    };
    history::show(&settings, &service, query, arguments.since, arguments.json).await
}
