//! `trunkd pause` and `trunkd resume`: whether switches are changed by themselves, for every trunkd on this Redis.

use std::collections::BTreeSet;
use std::process::ExitCode;

use jiff::Timestamp;

use super::{Shared, print, store, unknown_switch, unreadable};
use crate::redis::{Store, StoreError};
use crate::settings::{Flags, ReconcileMode, Settings};
use crate::shown::shown;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// This switch alone
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
}

pub(super) async fn pause(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (settings, store) = prepared(shared, arguments).await?;
    let node = arguments.node.as_deref();
    store
        .pause(node, Timestamp::now())
        .await
        .map_err(|error| unreadable(&settings, error))?;
    let (on, resume) = match node.map(shown) {
        None => ("any switch".to_owned(), "trunkd resume".to_owned()),
        Some(node) => (node.to_string(), format!("trunkd resume --node {node}")),
    };
    print(&format!(
        "Paused: nothing is changed on {on} until `{resume}`. Gateways are served and watched as before; `trunkd apply` still carries out a plan.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (settings, store) = prepared(shared, arguments).await?;
    let node = arguments.node.as_deref();
    let away = |error: StoreError| unreadable(&settings, error);
    store.resume(node).await.map_err(away)?;
    let left = store.read_control().await.map_err(away)?;
    let mut said = match node.map(shown) {
        Some(node) if left.paused.is_some() => {
            format!("{node} has no pause of its own now, and stays paused since every switch is: `trunkd resume`.")
        }
        Some(node) => format!("Resumed: {node} gets what Redis wants."),
        None => "Resumed: every switch gets what Redis wants.".to_owned(),
    };
    if settings.reconcile.mode != ReconcileMode::Apply {
        said.push_str(&format!(
            " But reconcile.mode is {:?} here: with that, only `trunkd apply` changes switches.",
            settings.reconcile.mode.as_str()
        ));
    }
    print(&format!("{said}\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn prepared(shared: &Shared, arguments: &Arguments) -> anyhow::Result<(Settings, Store)> {
    let settings = shared.settings(Flags::new())?;
    let store = store(&settings)?;
    if let Some(node) = &arguments.node {
        // Another trunkd's settings may name switches that these don't.
        let seen = store
            .switch_names()
            .await
            .map_err(|error| unreadable(&settings, error))?;
        let ours = settings.switches.iter().map(|switch| switch.name.clone());
        let known: BTreeSet<_> = ours.chain(seen).collect();
        if !known.contains(node) {
            return Err(unknown_switch(node, known));
        }
    }
    Ok((settings, store))
}
