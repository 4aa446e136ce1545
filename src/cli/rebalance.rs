//! `trunkd rebalance`: shows which gateways would move to another switch, asks, and has them moved.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::terminal::{confirm, gateways};
use super::{Shared, print};
use crate::operate::placement::{Rebalance, RebalanceMove};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;
use crate::shown::shown;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let (caller, naming) = (Caller::cli(), |error: OperateError| error.naming_server(&settings));
    let Rebalance { id, moves } = service.plan_rebalance(&caller).await.map_err(naming)?;
    if moves.is_empty() {
        print("Nothing to move: each gateway that runs on one switch is on its best one.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&moves.iter().map(line).collect::<String>())?;
    if !arguments.yes && !confirm(&question(&moves), "look at the moves, and add --yes to make them")? {
        print("Nothing was moved.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let asked = service.rebalance(&caller, &id).await.map_err(naming)?;
    print(&format!(
        "{asked} of {} moves requested. A few run at a time; `trunkd history` lists those that ended.\n",
        moves.len()
    ))?;
    Ok(match asked == moves.len() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// `gw1 in acme: fs1 -> fs2`.
fn line(wanted: &RebalanceMove) -> String {
    let (gateway, domain) = (shown(&wanted.gateway), shown(&wanted.domain));
    format!(
        "{gateway} in {domain}: {} -> {}\n",
        shown(&wanted.from),
        shown(&wanted.to)
    )
}

/// `Move 12 gateways: fs1 -> fs2 7, fs1 -> fs3 5?`
fn question(moves: &[RebalanceMove]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for wanted in moves {
        *counts.entry((&wanted.from, &wanted.to)).or_default() += 1;
    }
    let counts = counts.iter();
    let counts: Vec<_> = counts
        .map(|((from, to), count)| format!("{} -> {} {count}", shown(from), shown(to)))
        .collect();
    format!("Move {}: {}?", gateways(moves.len()), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_has_the_moves_between_each_two_switches() {
        let between = |from: &str, to: &str| RebalanceMove {
            domain: "acme".to_owned(),
            gateway: "gw1".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let moves = [between("fs1", "fs2"), between("fs1", "fs3"), between("fs1", "fs2")];
        assert_eq!(question(&moves), "Move 3 gateways: fs1 -> fs2 2, fs1 -> fs3 1?");
        assert_eq!(line(&moves[0]), "gw1 in acme: fs1 -> fs2\n");
    }
}
