//! `trunkd pause` and `trunkd resume`: stop and allow automatic changes, for every trunkd on this Redis.

use std::process::ExitCode;

use jiff::Timestamp;

use super::{Shared, print};
use crate::operate::{pause as operate, sources};
use crate::settings::{Flags, ReconcileMode};
use crate::shown::shown;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this switch
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
}

pub(super) async fn pause(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = sources::store(&settings)?;
    let node = arguments.node.as_deref();
    operate::pause(&settings, &store, node, Timestamp::now()).await?;
    let (on, resume) = match node.map(shown) {
        None => ("any switch".to_owned(), "trunkd resume".to_owned()),
        Some(node) => (node.to_string(), format!("trunkd resume --node {node}")),
    };
    print(&format!(
        "Paused: nothing is changed on {on} until `{resume}`. Gateways are served and watched as before; \
         `trunkd apply` still carries out a plan.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = sources::store(&settings)?;
    let node = arguments.node.as_deref();
    let resumed = operate::resume(&settings, &store, node).await?;
    let mut text = match node.map(shown) {
        Some(node) if resumed.all_paused => {
            format!("{node} has no pause of its own now, and stays paused since every switch is: `trunkd resume`.")
        }
        Some(node) => format!("Resumed: {node} gets what Redis wants."),
        None => "Resumed: every switch gets what Redis wants.".to_owned(),
    };
    if resumed.mode != ReconcileMode::Apply {
        text.push_str(&format!(
            " But reconcile.mode is {:?} here: with that, only `trunkd apply` changes switches.",
            resumed.mode.as_str()
        ));
    }
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
