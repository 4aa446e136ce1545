//! `trunkd gateway where` and `move`: gateways that run on exactly one switch.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Shared, json_text, print};
use super::outcome::{PENDING, place};
use super::target::{Target, wait};
use super::where_text::where_text;
use crate::operate::gateways::GatewayRef;
use crate::operate::placement::{MoveAnswer, MoveOutcome, PlacementMode};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;
use crate::shown::shown;

#[derive(clap::Args)]
pub(in crate::cli) struct Locate {
    #[command(flatten)]
    target: Target,
    /// Print one JSON object, as the API answers
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(in crate::cli) struct MoveTo {
    #[command(flatten)]
    target: Target,
    /// The switch to move it to
    #[arg(value_name = "SWITCH")]
    to: String,
    /// Wait this long for the end of the move, which goes on all the same
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "60s")]
    wait: Duration,
}

pub(super) async fn locate(shared: &Shared, arguments: &Locate) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open_with_last_good(&settings)?;
    let (caller, naming) = (Caller::cli(), |error: OperateError| error.naming_server(&settings));
    let of = arguments.target.find(&service, &caller).await.map_err(naming)?;
    let now = service.where_is(&caller, &of).await.map_err(naming)?;
    print(&match arguments.json {
        true => json_text(&now)?,
        false => format!("{}\n", where_text(&place(&of), &now, Timestamp::now())),
    })?;
    Ok(match now.placement == PlacementMode::All || now.switch.is_some() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(PENDING),
    })
}

pub(super) async fn move_to(shared: &Shared, arguments: &MoveTo) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let (caller, naming) = (Caller::cli(), |error: OperateError| error.naming_server(&settings));
    let of = arguments.target.find(&service, &caller).await.map_err(naming)?;
    let to = arguments.to.as_str();
    let answer = service.move_gateway(&caller, &of, to, Some(arguments.wait)).await;
    let (text, code) = moved(&of, to, &answer.map_err(naming)?, Timestamp::now());
    print(&text)?;
    Ok(code)
}

fn moved(of: &GatewayRef, to: &str, answer: &MoveAnswer, now: Timestamp) -> (String, ExitCode) {
    let (gateway, to) = (place(of), shown(to));
    let there = where_text(&gateway, &answer.now, now);
    match answer.outcome {
        MoveOutcome::Moved => (format!("{gateway} is moved to {to}.\n"), ExitCode::SUCCESS),
        MoveOutcome::Pending => (format!("Not yet moved to {to}: {there}\n"), ExitCode::from(PENDING)),
        MoveOutcome::NotMoved => {
            let history = format!("`trunkd gateway history {}` says more", of.name);
            (
                format!("Could not move {gateway} to {to}; {history}.\n{there}\n"),
                ExitCode::FAILURE,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::PlacedFor;
    use crate::operate::placement::{PlacedSince, Where};

    fn at(switch: &str, reason: PlacedFor) -> Where {
        Where {
            domain: "acme".to_owned(),
            gateway: "gw1".to_owned(),
            placement: PlacementMode::One,
            switch: Some(switch.to_owned()),
            sip: None,
            switches: vec![switch.to_owned()],
            placed: Some(PlacedSince {
                since: Timestamp::UNIX_EPOCH,
                reason,
                by: "cli:root".to_owned(),
                epoch: 3,
                step: None,
            }),
            note: None,
        }
    }

    #[test]
    fn the_end_of_a_move_has_an_exit_status() {
        let of = GatewayRef {
            domain: "acme".into(),
            name: "gw1".parse().unwrap(),
        };
        let end = |outcome| {
            let now = at("fs1", PlacedFor::Returned);
            let (text, code) = moved(&of, "fs2", &MoveAnswer { outcome, now }, Timestamp::UNIX_EPOCH);
            (text, format!("{code:?}"))
        };
        let status = |code: ExitCode| format!("{code:?}");
        let done = ("gw1 in acme is moved to fs2.\n".to_owned(), status(ExitCode::SUCCESS));
        assert_eq!(end(MoveOutcome::Moved), done);
        let (text, code) = end(MoveOutcome::Pending);
        assert!(
            text.starts_with("Not yet moved to fs2: ") && code == status(ExitCode::from(2)),
            "{text}"
        );
        let (text, code) = end(MoveOutcome::NotMoved);
        assert!(
            text.contains("a move did not work.") && code == status(ExitCode::FAILURE),
            "{text}"
        );
    }
}
