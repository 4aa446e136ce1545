//! `trunkd gateway restart`: one gateway with its effect, or many with their progress.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::terminal::{confirm, gateways};
use super::super::{Shared, print};
use super::filter::Filter;
use super::job::{self, Job};
use super::outcome::PENDING;
use super::target::{Target, wait};
use crate::control::JobAction;
use crate::gateway::GatewayName;
use crate::operate::gateways::bulk::Chosen;
use crate::operate::gateways::{Restart, RestartOptions, RestartProgress};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::{Flags, Settings};
use crate::shown::{shown, shown_line};

/// How often the progress is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// These gateways; without any, all that the options select
    #[arg(value_name = "NAME")]
    names: Vec<GatewayName>,
    #[command(flatten)]
    filter: Filter,
    /// Only show which would be restarted; exit status 2 if there are any
    #[arg(long)]
    dry_run: bool,
    /// Don't ask before gateways are restarted that options select
    #[arg(long)]
    yes: bool,
    /// Wait this long for the next of them; what no trunkd has begun by then is taken back if it is one
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "20s")]
    wait: Duration,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Filter { domain, switch, .. } = &arguments.filter;
    let is_filtered = arguments.filter.is_more_than_place();
    match arguments.names.as_slice() {
        [] if !is_filtered && domain.is_none() && switch.is_none() => {
            anyhow::bail!("no gateway is chosen: name some, or select them with --domain, --switch, --carrier, …");
        }
        [_, ..] if is_filtered => {
            anyhow::bail!("gateways are named and selected: do one of both (--domain and --switch go with names)");
        }
        [name] if !arguments.dry_run => {
            let job = Job {
                target: Target {
                    name: name.clone(),
                    domain: arguments.filter.domain.clone(),
                },
                switch: switch.clone(),
                wait: arguments.wait,
            };
            job::run(shared, &job, JobAction::Restart).await
        }
        _ => {
            let settings = shared.settings(Flags::new())?;
            let service = Service::open(&settings)?;
            let many = Many {
                settings: &settings,
                service: &service,
                caller: &Caller::cli(),
                arguments,
            };
            many.restart().await
        }
    }
}

struct Many<'a> {
    settings: &'a Settings,
    service: &'a Service,
    caller: &'a Caller,
    arguments: &'a Arguments,
}

impl Many<'_> {
    async fn restart(&self) -> anyhow::Result<ExitCode> {
        let Arguments { dry_run, yes, .. } = *self.arguments;
        let chosen = self.chosen().await?;
        let seen = self.begin(&chosen, None).await?;
        let is_left_out = !seen.left_out.is_empty();
        for left_out in &seen.left_out {
            let (name, reason) = (shown_line(&left_out.name), left_out.reason.en());
            eprintln!(
                "trunkd: {name} in {} is left out: {reason}",
                shown_line(&left_out.domain)
            );
        }
        let count = seen.gateways.len();
        if dry_run || count == 0 {
            print(&format!("Would restart {}.\n", what(&seen)))?;
            return Ok(match (count, is_left_out) {
                (1.., _) => ExitCode::from(PENDING),
                (0, true) => ExitCode::FAILURE,
                (0, false) => ExitCode::SUCCESS,
            });
        }
        let question = format!("Restart {}?", what(&seen));
        if self.arguments.names.is_empty() && !yes && !confirm(&question, "add --yes to restart them")? {
            print("Nothing was restarted.\n")?;
            return Ok(ExitCode::FAILURE);
        }
        let begun = self.begin(&chosen, Some(count)).await?;
        let Some(id) = begun.id else {
            print("No switch has them or is to have them: nothing was restarted.\n")?;
            return Ok(ExitCode::FAILURE);
        };
        for away in begun.switches.iter().filter(|on| on.is_away) {
            eprintln!(
                "trunkd: no trunkd is connected to {}: nothing is restarted there",
                shown(&away.switch)
            );
        }
        let (text, code) = outcome(&self.follow(&id).await?);
        print(&text)?;
        Ok(match code {
            Code::Done if is_left_out => ExitCode::FAILURE,
            code => code.into(),
        })
    }

    async fn chosen(&self) -> Result<Chosen, OperateError> {
        if self.arguments.names.is_empty() {
            return Ok(Chosen::Filter(Box::new(self.arguments.filter.query())));
        }
        let mut named = BTreeSet::new();
        for name in &self.arguments.names {
            let target = Target {
                name: name.clone(),
                domain: self.arguments.filter.domain.clone(),
            };
            let of = target.find(self.service, self.caller).await;
            let of = of.map_err(|error| error.naming_server(self.settings))?;
            named.insert((of.domain, of.name));
        }
        Ok(Chosen::Named(named))
    }

    /// `expected`: as many as were shown. `None` begins nothing.
    async fn begin(&self, chosen: &Chosen, expected: Option<usize>) -> Result<Restart, OperateError> {
        let options = RestartOptions {
            dry_run: expected.is_none(),
            expected,
            switch: self.arguments.filter.switch.clone(),
        };
        let begun = self.service.restart_many(self.caller, chosen, &options).await;
        begun.map_err(|error| error.naming_server(self.settings))
    }

    /// Until all is done, or nothing was for a while.
    async fn follow(&self, id: &str) -> Result<Vec<RestartProgress>, OperateError> {
        let (mut left, mut moved) = (usize::MAX, Instant::now());
        loop {
            let progress = self.service.restart_progress(self.caller, id).await;
            let progress = progress.map_err(|error| error.naming_server(self.settings))?;
            let now_left = progress.iter().map(|on| on.left).sum();
            if now_left < left {
                (left, moved) = (now_left, Instant::now());
            }
            let is_over = !progress.iter().any(RestartProgress::is_under_way);
            if is_over || moved.elapsed() >= self.arguments.wait {
                return Ok(progress);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
enum Code {
    Done,
    Failed,
    Pending,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        match code {
            Code::Done => Self::SUCCESS,
            Code::Failed => Self::FAILURE,
            Code::Pending => Self::from(PENDING),
        }
    }
}

/// `12 gateways: fs1 12, fs2 3`.
fn what(restart: &Restart) -> String {
    let on = restart.switches.iter();
    let on: Vec<_> = on
        .map(|on| format!("{} {}", shown(&on.switch), on.gateways.len()))
        .collect();
    let gateways = gateways(restart.gateways.len());
    match on.is_empty() {
        true => gateways,
        false => format!("{gateways}: {}", on.join(", ")),
    }
}

fn outcome(progress: &[RestartProgress]) -> (String, Code) {
    let mut text = String::new();
    let (mut failed, mut left) = (0, 0);
    for on in progress {
        let done = on.all - on.left - on.failed.len();
        let _ = write!(text, "{}: restarted {done} of {}", shown(&on.switch), on.all);
        text.push_str(match (on.left, on.is_under_way()) {
            (0, _) => "\n",
            (_, true) => ", and goes on\n",
            (_, false) => ", and the rest was given up\n",
        });
        for (gateway, reason) in &on.failed {
            let _ = writeln!(text, "  {}: {}", shown(gateway), shown_line(reason.en()));
        }
        failed += on.failed.len();
        left += on.left;
    }
    let code = match (failed, left) {
        (0, 0) => Code::Done,
        (0, _) => Code::Pending,
        _ => Code::Failed,
    };
    (text, code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Message;
    use crate::operate::gateways::RestartState;

    fn on(switch: &str, state: RestartState, left: usize, failed: &[&str]) -> RestartProgress {
        let failed = failed.iter();
        RestartProgress {
            switch: switch.to_owned(),
            state,
            all: 10,
            left,
            failed: failed
                .map(|name| ((*name).to_owned(), Message::same("it broke")))
                .collect(),
        }
    }

    #[test]
    fn each_switch_says_how_far_it_came_and_what_failed() {
        let (text, code) = outcome(&[on("fs1", RestartState::Done, 0, &[])]);
        assert_eq!((text.as_str(), code), ("fs1: restarted 10 of 10\n", Code::Done));
        let (text, code) = outcome(&[
            on("fs1", RestartState::Running, 4, &[]),
            on("fs2", RestartState::Waiting, 10, &[]),
        ]);
        let expected = "fs1: restarted 6 of 10, and goes on\nfs2: restarted 0 of 10, and goes on\n";
        assert_eq!((text.as_str(), code), (expected, Code::Pending));
        let (text, code) = outcome(&[on("fs1", RestartState::GivenUp, 3, &["gw1", "gw2"])]);
        let expected = "fs1: restarted 5 of 10, and the rest was given up\n  gw1: it broke\n  gw2: it broke\n";
        assert_eq!((text.as_str(), code), (expected, Code::Failed));
    }
}
