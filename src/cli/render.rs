//! `trunkd render`: exactly the bytes that FreeSWITCH would get.

use std::process::ExitCode;

use super::{Shared, print_document};
use crate::desired::LastGood;
use crate::operate::{OperateError, sources};
use crate::settings::Flags;
use crate::shown::shown_line;
use crate::sofia_conf::{GatewayQuery, Query, Templates};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// One profile with all its gateways, as FreeSWITCH gets it when it starts the profile. Without this, all
    /// profiles and no gateways, as at its first request. A rescan gets only gateways that the switch does not run
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// One gateway of that profile, or _all_, as FreeSWITCH asks for startgw
    #[arg(long, value_name = "GATEWAY", requires = "profile")]
    gateway: Option<String>,
    /// The switch that asks. Without this, the gateways of all switches
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
    /// Only the profiles, to keep on FreeSWITCH's disk. Needs no Redis
    #[arg(long, conflicts_with_all = ["profile", "gateway", "node"])]
    no_gateways: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let templates = sources::templates(&settings)?;
    if arguments.no_gateways {
        print_document(&templates.without_gateways())?;
        return Ok(ExitCode::SUCCESS);
    }
    let store = sources::store(&settings)?;
    // It matters only while Redis is down, so an unreadable one (of another user, say) is no error.
    let kept = LastGood::load(&settings.data_dir).ok().flatten();
    let catalog = sources::catalog(&store, sources::rules(&settings, &templates)?, kept);
    let away = |error: &dyn std::fmt::Display| OperateError::unreadable(&settings, error);
    let current = catalog.all().await.map_err(|error| away(&error))?;
    if let Some((_, reason)) = &current.stale {
        eprintln!("trunkd: {}", shown_line(&reason.to_string()));
    }
    if current.stale.is_none() && !store.has_key().await.map_err(|error| away(&error))? {
        eprintln!(
            "trunkd: Redis has no trunkd:key yet, which `trunkd serve` creates: it will serve this with other values \
             of trunkd_revision"
        );
    }
    let query = Query {
        profile: arguments.profile.as_deref(),
        gateway: match arguments.gateway.as_deref() {
            None => GatewayQuery::None,
            Some("_all_") => GatewayQuery::All,
            Some(name) => GatewayQuery::One(name),
        },
        node: arguments.node.as_deref(),
    };
    let document = templates
        .document(&current.desired, &current.key, &query)
        .ok_or_else(|| no_template(&templates, arguments))?;
    print_document(&document)?;
    Ok(ExitCode::SUCCESS)
}

fn no_template(templates: &Templates, arguments: &Arguments) -> anyhow::Error {
    let known: Vec<_> = templates.profile_names().map(|name| name.as_str()).collect();
    let asked = arguments.profile.as_deref().unwrap_or_default();
    anyhow::anyhow!(
        "there is no template for the profile {asked:?}; known are {}",
        known.join(", ")
    )
}
