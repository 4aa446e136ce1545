//! `trunkd gateway register`, `unregister`, `park` and `unpark`, and `restart` of one gateway.

use std::process::ExitCode;
use std::time::Duration;

use super::super::{Shared, print};
use super::outcome::{Done, finish_job};
use super::target::{Target, wait};
use crate::control::JobAction;
use crate::operate::gateways::JobRequest;
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;

#[derive(clap::Args)]
pub(in crate::cli) struct Job {
    #[command(flatten)]
    pub(super) target: Target,
    /// Only on this switch; otherwise on every switch that runs the gateway, or is to
    #[arg(long)]
    pub(super) switch: Option<String>,
    /// Wait this long for the effect; what no trunkd has begun by then is taken back
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "20s")]
    pub(super) wait: Duration,
}

/// Has the trunkd that changes each switch do it, and prints what came of it.
pub(super) async fn run(shared: &Shared, job: &Job, action: JobAction) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let caller = Caller::cli();
    let naming = |error: OperateError| error.naming_server(&settings);
    let of = job.target.find(&service, &caller).await.map_err(naming)?;
    let request = JobRequest {
        action,
        switch: job.switch.clone(),
        wait: Some(job.wait),
    };
    let effect = service.run_job(&caller, &of, &request).await.map_err(naming)?;
    let (text, code) = finish_job(&Done::new(action.as_str(), action.done(), &of), &effect);
    print(&text)?;
    Ok(code)
}
