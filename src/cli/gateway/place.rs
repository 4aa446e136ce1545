//! `trunkd gateway where` and `move`: gateways that run on exactly one switch.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::super::terminal::moment;
use super::super::{Shared, json_text, print};
use super::outcome::{PENDING, place};
use super::target::{Target, wait};
use crate::gateway::{Move, PlacedFor};
use crate::operate::gateways::GatewayRef;
use crate::operate::placement::{MoveAnswer, MoveOutcome, PlacedSince, PlacementMode, Where};
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

/// `carrier1 in default is on fs2 since 2026-11-26T10:00:00Z: fs2 took it over from a dead switch.`
pub(super) fn where_text(gateway: &str, now: &Where, at: Timestamp) -> String {
    let Some(placed) = &now.placed else {
        return unplaced_text(gateway, now);
    };
    let switch = now.switch.as_deref().map(shown);
    let place = match (&placed.step, switch) {
        (None, Some(switch)) => format!("is on {switch}"),
        (Some(Move::Waiting { to }), Some(switch)) => {
            format!("is on {switch}, and waits for its turn to move to {}", shown(to))
        }
        (Some(Move::Arriving { from }), Some(switch)) => {
            format!("arrives on {switch} from {}, and is not usable there yet", shown(from))
        }
        (Some(Move::Leaving { to }), _) => format!("is on its way to {}", shown(to)),
        (_, None) => "is on no switch".to_owned(),
    };
    let sip = now
        .sip
        .as_ref()
        .map_or_else(String::new, |sip| format!(" ({})", shown(sip)));
    let (since, why) = (moment(placed.since, at), why(placed));
    format!("{gateway} {place}{sip}, since {since}: {why}.")
}

fn unplaced_text(gateway: &str, now: &Where) -> String {
    match (&now.note, now.placement) {
        (Some(note), _) => format!("{gateway} is on no switch: {}.", note.en()),
        (None, PlacementMode::One) => format!("{gateway} is on no switch."),
        (None, PlacementMode::All) => {
            let switches: Vec<_> = now.switches.iter().map(|name| shown(name).to_string()).collect();
            format!("{gateway} runs on all of its switches: {}.", switches.join(", "))
        }
    }
}

fn why(placed: &PlacedSince) -> String {
    let by = match placed.by.as_str() {
        "" => String::new(),
        by => format!(" by {}", shown(by)),
    };
    match placed.reason {
        PlacedFor::First => "its first switch".to_owned(),
        PlacedFor::Failover => "its switch died".to_owned(),
        PlacedFor::Drain => "its switch was drained".to_owned(),
        PlacedFor::Edit => "its switches were edited".to_owned(),
        PlacedFor::Failback => "a better switch was live again".to_owned(),
        PlacedFor::Asked => format!("moved{by}"),
        PlacedFor::Rebalance => format!("rebalanced{by}"),
        PlacedFor::Returned => "a move did not work".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Message;

    fn at(switch: Option<&str>, reason: PlacedFor, step: Option<Move>) -> Where {
        Where {
            domain: "acme".to_owned(),
            gateway: "gw1".to_owned(),
            placement: PlacementMode::One,
            switch: switch.map(str::to_owned),
            sip: None,
            switches: switch.iter().map(ToString::to_string).collect(),
            placed: Some(PlacedSince {
                since: Timestamp::UNIX_EPOCH,
                reason,
                by: "cli:root".to_owned(),
                epoch: 3,
                step,
            }),
            note: None,
        }
    }

    fn said(now: &Where) -> String {
        let text = where_text("gw1 in acme", now, Timestamp::UNIX_EPOCH);
        let (before, after) = text.split_once(", since ").unwrap_or((&text, ""));
        format!("{before}:{}", after.rsplit_once(':').map_or("", |(_, why)| why))
    }

    #[test]
    fn the_place_is_said_with_its_reason_and_the_move_that_is_under_way() {
        let to = || "fs2".to_owned();
        let on = |step| at(Some("fs1"), PlacedFor::Asked, step);
        assert_eq!(said(&on(None)), "gw1 in acme is on fs1: moved by cli:root.");
        let waits = "gw1 in acme is on fs1, and waits for its turn to move to fs2: moved by cli:root.";
        assert_eq!(said(&on(Some(Move::Waiting { to: to() }))), waits);
        let arrives = on(Some(Move::Arriving { from: to() }));
        assert!(said(&arrives).starts_with("gw1 in acme arrives on fs1 from fs2"));
        let leaves = at(None, PlacedFor::Drain, Some(Move::Leaving { to: to() }));
        assert_eq!(
            said(&leaves),
            "gw1 in acme is on its way to fs2: its switch was drained."
        );
    }

    #[test]
    fn a_gateway_without_a_switch_says_why() {
        let mut now = at(None, PlacedFor::First, None);
        now.placed = None;
        now.note = Some(Message::same("no live switch may have it: fs1 is drained"));
        let expected = "gw1 in acme is on no switch: no live switch may have it: fs1 is drained.";
        assert_eq!(where_text("gw1 in acme", &now, Timestamp::UNIX_EPOCH), expected);
        now.note = None;
        now.placement = PlacementMode::All;
        now.switches = vec!["fs1".to_owned(), "fs2".to_owned()];
        let expected = "gw1 in acme runs on all of its switches: fs1, fs2.";
        assert_eq!(where_text("gw1 in acme", &now, Timestamp::UNIX_EPOCH), expected);
    }

    #[test]
    fn the_end_of_a_move_has_an_exit_status() {
        let of = GatewayRef {
            domain: "acme".into(),
            name: "gw1".parse().unwrap(),
        };
        let end = |outcome| {
            let now = at(Some("fs1"), PlacedFor::Returned, None);
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
