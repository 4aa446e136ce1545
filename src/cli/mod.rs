//! The subcommands: arguments, exit codes, tables. Decides nothing about gateways or switches.

mod check;
mod render;
mod serve;
mod status;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::gateway::ProfileName;
use crate::health::Health;
use crate::settings::{Flags, Settings};
use crate::sofia_conf::Templates;
use crate::store::{Catalog, Options, Store};

/// Serves FreeSWITCH its SIP gateways from Redis, and keeps in Redis what each gateway is really doing.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes. They win over the environment (`TRUNKD_REDIS__URL`), which wins over the settings file.
#[derive(Args)]
struct Shared {
    /// The settings file [default: ./trunkd.toml, else /etc/trunkd/trunkd.toml, if there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use a private redis-server under the data directory
    #[arg(long, global = true)]
    embedded: bool,
    /// Where trunkd keeps what must outlive it
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
    /// Show what each switch's gateways are doing
    Status(status::Arguments),
}

/// Runs the command line and returns the process's exit status: 0 well, 1 an error, 2 wrong arguments.
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
        }
    });
    // A blocked name look-up must not keep a process that has said all it had to say.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("trunkd: {error:#}");
    ExitCode::FAILURE
}

impl Shared {
    fn settings(&self, flags: Flags) -> anyhow::Result<Settings> {
        let flags = flags
            .set("--embedded", "redis.embedded", self.embedded.then_some(true))
            .set("--data-dir", "data_dir", self.data_dir.clone())
            .set("--templates", "templates.dir", self.templates.clone());
        Ok(Settings::load(self.config.as_deref(), flags)?)
    }
}

/// Prints to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// Redis, as a subcommand that only asks it something sees it.
fn store(settings: &Settings) -> anyhow::Result<Store> {
    settings.validate_store()?;
    let options = Options::from_settings(&settings.redis, &settings.data_dir)?;
    Ok(Store::new(options, Arc::new(Health::new()))?)
}

fn templates(settings: &Settings) -> anyhow::Result<Templates> {
    Ok(Templates::load(&settings.templates.dir)?)
}

fn catalog(settings: &Settings, store: &Store, templates: &Templates) -> anyhow::Result<Catalog> {
    let default = ProfileName::parse(&settings.templates.default_profile).context("templates.default_profile")?;
    Ok(Catalog::new(store.clone(), templates.rules(&default)?))
}

/// What to say when Redis cannot be read: for the embedded one it is usually trunkd that does not run.
fn unreadable(settings: &Settings, error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    let error = anyhow::Error::new(error);
    match settings.redis.embedded {
        true => error.context("the embedded Redis does not answer; it runs while `trunkd serve` does"),
        false => error.context(format!("cannot read Redis at {}", settings.redis.shown_url())),
    }
}
