//! `trunkd gateway`: the gateways in Redis, for people who don't write JSON.

mod assignments;
mod filter;
mod get;
mod job;
mod list;
mod outcome;
mod place;
mod restart;
mod set;
mod target;
mod text;
mod write;

pub(super) use outcome::PENDING;
pub(super) use target::{domain, wait};
pub(super) use text::problem_line;

use std::process::ExitCode;

use super::Shared;
use crate::control::JobAction;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List gateways with their states
    List(list::Arguments),
    /// Show one gateway: its value, what is wrong with it, and what each switch does with it
    Get(get::Arguments),
    /// Create or change a gateway: `set carrier1 realm=sip.example.net username=u password=@-`
    Set(set::Arguments),
    /// Delete a gateway
    Delete(write::Delete),
    /// Copy a gateway with its secrets; the copy is disabled
    Copy(write::Copy),
    /// Rename a gateway; switches stop the old one and start the new one
    Rename(write::Rename),
    /// Stop gateways on their switches and start them again with the value in Redis
    Restart(restart::Arguments),
    /// Register a gateway now, whatever it waits for
    Register(job::Job),
    /// Unregister a gateway; it stays down until it is registered or restarted
    Unregister(job::Job),
    /// Unregister a gateway until it is unparked or edited, also if FreeSWITCH restarts
    Park(job::Job),
    /// Register a parked gateway now
    Unpark(job::Job),
    /// Show which switch has a gateway; exit status 0 one has it, or all of its switches, 2 none has, 1 an error
    Where(place::Locate),
    /// Move a gateway that runs on one switch to another one; calls that are up stay where they are
    Move(place::MoveTo),
    /// Print what happened to a gateway
    History(get::History),
}

pub(super) async fn run(shared: &Shared, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::run(shared, arguments).await,
        Command::Get(arguments) => get::run(shared, arguments).await,
        Command::Set(arguments) => set::run(shared, arguments).await,
        Command::Delete(arguments) => write::delete(shared, arguments).await,
        Command::Copy(arguments) => write::copy(shared, arguments).await,
        Command::Rename(arguments) => write::rename(shared, arguments).await,
        Command::Restart(arguments) => restart::run(shared, arguments).await,
        Command::Register(job) => job::run(shared, job, JobAction::Register).await,
        Command::Unregister(job) => job::run(shared, job, JobAction::Unregister).await,
        Command::Park(job) => job::run(shared, job, JobAction::Park).await,
        Command::Unpark(job) => job::run(shared, job, JobAction::Unpark).await,
        Command::Where(arguments) => place::locate(shared, arguments).await,
        Command::Move(arguments) => place::move_to(shared, arguments).await,
        Command::History(arguments) => get::history(shared, arguments).await,
    }
}
