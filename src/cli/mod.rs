//! The subcommands: arguments, exit codes, tables, and the text made of what `operate` answers.
//! Decides nothing about gateways or switches.

mod apply;
mod backup;
mod carriers;
mod check;
mod completions;
mod drain;
mod export;
mod gateway;
mod health;
mod history;
mod import;
mod man;
mod password;
mod pause;
mod plan;
mod rebalance;
mod render;
mod restore;
mod serve;
mod status;
mod sync;
mod terminal;
mod token;
mod transfer;
mod user;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::operate::OperateError;
use crate::settings::{Flags, Settings, SettingsError};
use crate::shown::{shown_json, shown_line, shown_lines};

/// Serves FreeSWITCH its SIP gateways from Redis, and keeps in Redis what each gateway is really doing.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every subcommand. They win over the environment (`TRUNKD_REDIS__URL`), which wins over the
/// settings file.
#[derive(Args)]
struct Shared {
    /// The settings file [default: ./trunkd.toml, else /etc/trunkd/trunkd.toml, if there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use a private redis-server under the data directory
    #[arg(long, global = true)]
    embedded: bool,
    /// Where trunkd keeps its files
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// The folder with sofia.conf.xml and sip_profiles/
    #[arg(long, global = true, value_name = "DIR")]
    templates: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve sofia.conf, and keep the gateways' states in Redis
    Serve(serve::Arguments),
    /// Print the document that FreeSWITCH would get
    Render(render::Arguments),
    /// Check settings, templates and gateways; exit status 1 on errors
    Check(check::Arguments),
    /// Show what each switch's gateways are doing; exit status 0 all is well, 2 something is not, 1 an error
    Status(status::Arguments),
    /// Show what happens at each carrier: gateways, REGISTERs, refusals, calls
    Carriers(carriers::Arguments),
    /// List, show and change gateways
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Write gateways as YAML or JSON, for git and backups
    Export(export::Arguments),
    /// Compare files with Redis; exit status 0 the same, 2 different, 1 an error
    Diff(sync::Diff),
    /// Bring Redis to what files say; never deletes without --prune or `state: absent`
    Sync(sync::Sync),
    /// Show what would change on each switch; exit status 0 nothing, 2 something, 1 an error
    Plan(plan::Arguments),
    /// Carry out the plan, even if it is held; exit status 1 if something failed
    Apply(apply::Arguments),
    /// Change no switch until `resume`
    Pause(pause::Arguments),
    /// End a pause
    Resume(pause::Arguments),
    /// Move the gateways that run on one switch away from this one; exit status 0 it can be stopped, 2 not yet
    Drain(drain::Drain),
    /// End a drain
    Undrain(drain::Undrain),
    /// Spread the gateways that run on one switch evenly again
    Rebalance(rebalance::Arguments),
    /// Print what happened: edits with who made them, outages, actions, sign-ins
    History(history::Arguments),
    /// Import gateways from FreeSWITCH's files, FusionPBX, CSV or a running switch
    #[command(subcommand)]
    Import(import::Command),
    /// Write a file of all gateways with their secrets, one for each day
    Backup(backup::Arguments),
    /// Write the gateways that Redis lost back to it, for instance after a FLUSHALL
    Restore(restore::Arguments),
    /// Manage the people who may sign in
    #[command(subcommand)]
    User(user::Command),
    /// Manage the programs that may use the API
    #[command(subcommand)]
    Token(token::Command),
    /// Ask the running service whether it answers FreeSWITCH; exit status 0 it does, 1 it doesn't
    Health(health::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
    /// Write a manual page for each subcommand
    Man(man::Arguments),
}

/// Runs the command line and returns the exit status: 0 all is well, 1 an error, 2 wrong arguments,
/// pending changes in `plan` and `diff`, or something that needs attention in `status`.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => serve::run(&cli.shared, &arguments).await,
            Command::Render(arguments) => render::run(&cli.shared, &arguments).await,
            Command::Check(arguments) => check::run(&cli.shared, &arguments).await,
            Command::Status(arguments) => status::run(&cli.shared, &arguments).await,
            Command::Carriers(arguments) => carriers::run(&cli.shared, &arguments).await,
            Command::Gateway(command) => gateway::run(&cli.shared, &command).await,
            Command::Export(arguments) => export::run(&cli.shared, &arguments).await,
            Command::Diff(arguments) => sync::diff(&cli.shared, &arguments).await,
            Command::Sync(arguments) => sync::sync(&cli.shared, &arguments).await,
            Command::Plan(arguments) => plan::run(&cli.shared, &arguments).await,
            Command::Apply(arguments) => apply::run(&cli.shared, &arguments).await,
            Command::Pause(arguments) => pause::pause(&cli.shared, &arguments).await,
            Command::Resume(arguments) => pause::resume(&cli.shared, &arguments).await,
            Command::Drain(arguments) => drain::drain(&cli.shared, &arguments).await,
            Command::Undrain(arguments) => drain::undrain(&cli.shared, &arguments).await,
            Command::Rebalance(arguments) => rebalance::run(&cli.shared, &arguments).await,
            Command::History(arguments) => history::run(&cli.shared, &arguments).await,
            Command::Import(command) => import::run(&cli.shared, command).await,
            Command::Backup(arguments) => backup::run(&cli.shared, &arguments).await,
            Command::Restore(arguments) => restore::run(&cli.shared, &arguments).await,
            Command::User(command) => user::run(&cli.shared, command).await,
            Command::Token(command) => token::run(&cli.shared, command).await,
            Command::Health(arguments) => health::run(&cli.shared, &arguments).await,
            Command::Completions(arguments) => completions::run(&arguments),
            Command::Man(arguments) => man::run(&arguments),
        }
    });
    // A blocked name lookup must not delay the exit.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| fail(&error))
}

/// Prints only the outermost error: our errors include their cause in their own text.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("trunkd: {}", shown_line(&error.to_string()));
    ExitCode::FAILURE
}

/// For `map_err`: puts what failed in front of the error.
fn while_doing<E: Display>(what: impl Display) -> impl FnOnce(E) -> anyhow::Error {
    move |error| anyhow::anyhow!("{what}: {error}")
}

/// For `map_err`: an error of Redis that an operation passed on gets the server's name.
fn naming_server(settings: &Settings) -> impl FnOnce(anyhow::Error) -> anyhow::Error + '_ {
    move |error| match error.downcast::<OperateError>() {
        Ok(error) => error.naming_server(settings).into(),
        Err(error) => error,
    }
}

impl Shared {
    fn settings(&self, flags: Flags) -> anyhow::Result<Settings> {
        Ok(self.load_settings(flags)?)
    }

    fn load_settings(&self, flags: Flags) -> Result<Settings, SettingsError> {
        let flags = flags
            .set("--embedded", "redis.embedded", self.embedded.then_some(true))
            .set("--data-dir", "data_dir", self.data_dir.clone())
            .set("--templates", "templates.dir", self.templates.clone());
        Settings::load(self.config.as_deref(), flags)
    }
}

/// Prints lines to standard output. Line breaks and colours stay; other control characters are
/// escaped, since the lines may quote foreign text.
fn print(text: &str) -> anyhow::Result<()> {
    print_raw(&shown_lines(text))
}

/// Prints a document unchanged, or as [`print`] does on a terminal.
fn print_document(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().is_terminal() {
        true => print(&text.replace('\t', "    ")),
        false => print_raw(text),
    }
}

/// A closed pipe (`| head`) is not an error.
fn print_raw(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(while_doing("cannot write to standard output")(error))
        }
        _ => Ok(()),
    }
}

/// Pretty-printed JSON, with control characters written as `\u…`, which changes no value.
fn json_text(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    Ok(shown_json(&json) + "\n")
}
