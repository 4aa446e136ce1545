//! `trunkd drain` and `trunkd undrain`: moves the gateways that run on exactly one switch away from it.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::gateway::{PENDING, wait};
use super::terminal::{gateways, moment};
use super::{Shared, json_text, print};
use crate::operate::placement::DrainProgress;
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;
use crate::shown::shown;

/// How often the progress is read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(super) struct Drain {
    /// Its switchname
    switch: String,
    /// Wait this long until nothing is left; the drain goes on all the same
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "10m")]
    wait: Duration,
    /// Print the last progress as one JSON object, as the API answers
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Undrain {
    /// Its switchname
    switch: String,
}

pub(super) async fn drain(shared: &Shared, arguments: &Drain) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let (caller, naming) = (Caller::cli(), |error: OperateError| error.naming_server(&settings));
    let deadline = Instant::now() + arguments.wait;
    service.drain(&caller, &arguments.switch).await.map_err(naming)?;
    let progress = async || service.drain_progress(&caller, &arguments.switch).await.map_err(naming);
    let mut now = progress().await?;
    let mut said = String::new();
    if !arguments.json {
        print(&begun(&now))?;
    }
    loop {
        let text = left(&now);
        if text != said && !arguments.json {
            print(&text)?;
        }
        said = text;
        let is_over = now.is_over() || waits_in_vain(&now);
        if is_over || Instant::now() >= deadline {
            break;
        }
        sleep(POLL_INTERVAL.min(deadline - Instant::now())).await;
        now = progress().await?;
    }
    print(&match arguments.json {
        true => json_text(&now)?,
        false => end(&now),
    })?;
    Ok(match now.is_over() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(PENDING),
    })
}

pub(super) async fn undrain(shared: &Shared, arguments: &Undrain) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let was_drained = service.undrain(&Caller::cli(), &arguments.switch).await;
    let switch = shown(&arguments.switch);
    print(&match was_drained.map_err(|error| error.naming_server(&settings))? {
        true => format!(
            "{switch} may get gateways again. Those that left stay where they are: `trunkd rebalance` moves them.\n"
        ),
        false => format!("{switch} was not drained.\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing changes by waiting: what is left can't leave, or nobody can count the calls.
fn waits_in_vain(progress: &DrainProgress) -> bool {
    let switch = &progress.switch;
    let is_stuck = switch.leaving == 0 && switch.gateways == progress.stuck;
    is_stuck && (progress.stuck > 0 || progress.calls.is_none())
}

fn begun(progress: &DrainProgress) -> String {
    let switch = shown(&progress.switch.switch);
    let since = progress.switch.drained.as_ref().map_or_else(String::new, |drained| {
        format!(
            " since {} by {}",
            moment(drained.at, Timestamp::now()),
            shown(&drained.by)
        )
    });
    format!(
        "{switch} is drained{since}:\nno gateway that runs on one switch comes to it until `trunkd undrain {switch}`.\n"
    )
}

/// `12 gateways left, 3 on their way, 7 calls up`.
fn left(progress: &DrainProgress) -> String {
    let switch = &progress.switch;
    let calls = match progress.calls {
        Some(1) => "1 call up".to_owned(),
        Some(calls) => format!("{calls} calls up"),
        None => "calls unknown".to_owned(),
    };
    format!(
        "{} left, {} on their way, {calls}\n",
        gateways(switch.gateways),
        switch.leaving
    )
}

fn end(progress: &DrainProgress) -> String {
    let switch = shown(&progress.switch.switch);
    if progress.stuck > 0 {
        return stuck(progress);
    }
    match (progress.is_empty(), progress.calls) {
        (true, Some(0)) => format!("Nothing is left: {switch} can be stopped.\n"),
        (true, Some(_)) => format!(
            "No gateway is left. When the calls are over, {switch} can be stopped; stopping it now ends them.\n"
        ),
        (true, None) => {
            format!("No gateway is left. Nobody knows whether calls are up: {switch} does not answer.\n")
        }
        (false, _) => format!("It goes on: `trunkd drain {switch}` shows how far it is.\n"),
    }
}

fn stuck(progress: &DrainProgress) -> String {
    let mut text = String::from("These stay until another switch may have them:\n");
    for stuck in &progress.stuck_gateways {
        let (gateway, domain) = (shown(&stuck.gateway), shown(&stuck.domain));
        text.push_str(&format!("  {gateway} in {domain}: {}\n", stuck.reason.en()));
    }
    let more = progress.stuck - progress.stuck_gateways.len();
    if more > 0 {
        text.push_str(&format!("  … and {more} more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Message;
    use crate::operate::placement::{Stuck, SwitchPlacement};

    fn progress(gateways: usize, leaving: usize, stuck: usize, calls: Option<u64>) -> DrainProgress {
        let stuck_gateways = (0..stuck.min(1)).map(|_| Stuck {
            domain: "acme".to_owned(),
            gateway: "gw1".to_owned(),
            reason: Message::same("fs2 is paused"),
        });
        DrainProgress {
            switch: SwitchPlacement {
                switch: "fs1".to_owned(),
                weight: 1,
                connected: true,
                paused: false,
                drained: None,
                gateways,
                leaving,
                arriving: 0,
            },
            stuck,
            stuck_gateways: stuck_gateways.collect(),
            calls,
        }
    }

    #[test]
    fn the_progress_counts_what_is_left() {
        assert_eq!(
            left(&progress(12, 3, 0, Some(7))),
            "12 gateways left, 3 on their way, 7 calls up\n"
        );
        assert_eq!(
            left(&progress(1, 0, 0, Some(1))),
            "1 gateway left, 0 on their way, 1 call up\n"
        );
        assert_eq!(
            left(&progress(0, 0, 0, None)),
            "0 gateways left, 0 on their way, calls unknown\n"
        );
    }

    #[test]
    fn the_end_says_whether_it_can_be_stopped_and_what_is_stuck() {
        assert_eq!(
            end(&progress(0, 0, 0, Some(0))),
            "Nothing is left: fs1 can be stopped.\n"
        );
        assert!(end(&progress(0, 0, 0, Some(2))).contains("stopping it now ends them"));
        assert!(end(&progress(0, 0, 0, None)).contains("does not answer"));
        assert!(end(&progress(3, 1, 0, Some(0))).starts_with("It goes on"));
        let expected = "These stay until another switch may have them:\n  gw1 in acme: fs2 is paused\n  … and 2 more\n";
        assert_eq!(end(&progress(3, 0, 3, Some(0))), expected);
    }

    #[test]
    fn nobody_waits_for_what_can_not_leave() {
        assert!(waits_in_vain(&progress(2, 0, 2, Some(0))) && waits_in_vain(&progress(0, 0, 0, None)));
        assert!(!waits_in_vain(&progress(2, 0, 1, Some(0))) && !waits_in_vain(&progress(2, 1, 2, Some(0))));
        assert!(!waits_in_vain(&progress(0, 0, 0, Some(3))), "calls end");
    }
}
