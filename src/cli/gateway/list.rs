//! `trunkd gateway list`.

use std::process::ExitCode;

use jiff::Timestamp;

use super::super::{Shared, json_text, print, terminal};
use super::filter::Filter;
use super::text;
use crate::operate::listing::{Cursor, Direction, ListQuery, Sort};
use crate::operate::{Caller, Service};
use crate::settings::Flags;
use crate::shown::shown_line;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Words that all occur in name, description, carrier, realm, proxy, username or tags
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// By name, domain, state, since, ping_ms, profile or carrier; - in front turns it round
    #[arg(long, value_name = "ORDER", default_value = "name", value_parser = sort, allow_hyphen_values = true)]
    sort: (Sort, Direction),
    /// At most this many gateways
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Go on where the JSON before ended: its `next`
    #[arg(long, value_name = "NEXT", value_parser = Cursor::parse)]
    after: Option<Cursor>,
    /// Print one JSON object, as the API answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open_with_last_good(&settings)?;
    let page = service.list(&Caller::cli(), &arguments.query()).await;
    let page = page.map_err(|error| error.naming_server(&settings))?;
    if let Some(since) = page.stale_since {
        let since = terminal::moment(since, Timestamp::now());
        eprintln!(
            "trunkd: Redis can't be read: these are the gateways of {}",
            shown_line(&since)
        );
    }
    print(&match arguments.json {
        true => json_text(&page)?,
        false => text::list(&page, terminal::size(), Timestamp::now()),
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn query(&self) -> ListQuery {
        let (sort, direction) = self.sort;
        ListQuery {
            search: Some(self.words.join(" ")),
            sort,
            direction,
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            after: self.after.clone(),
            ..self.filter.query()
        }
    }
}

fn sort(text: &str) -> Result<(Sort, Direction), String> {
    let names = || Sort::ALL.map(|(name, _)| name).join(", ");
    Sort::parse(text).ok_or_else(|| format!("write one of {}, or - and one", names()))
}
