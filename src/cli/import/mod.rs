//! `trunkd import`: gateways from FreeSWITCH's files, FusionPBX, a spreadsheet or a running switch.

mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use super::gateway::domain;
use super::terminal::confirm;
use super::{Shared, json_text, print};
use crate::gateway::{DomainName, ProfileName};
use crate::operate::import::{ImportDraft, ImportOptions, Naming, Source};
use crate::operate::{Caller, Service};
use crate::settings::Flags;

/// Something would be written, or is left as it is stored.
const PENDING: u8 = 2;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// From FreeSWITCH's XML files and folders, or a whole conf/
    FsXml {
        /// Files and folders, in this order; name vars.xml first if it lies outside of them
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// A global variable that no file sets; may be repeated
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = global)]
        globals: Vec<(String, String)>,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// From FusionPBX: a pg_dump or CSV of v_gateways
    Fusionpbx {
        file: PathBuf,
        /// What gateways are called; FusionPBX's dialplans dial the UUID
        #[arg(long, value_enum, default_value_t)]
        name: Name,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// From a spreadsheet as CSV: a line per gateway, columns named like params
    Csv {
        file: PathBuf,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// What a switch has in its own configuration now
    Switch {
        #[arg(value_name = "SWITCHNAME")]
        name: String,
        #[command(flatten)]
        arguments: Arguments,
    },
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum Name {
    /// The UUID, in lower case
    #[default]
    Uuid,
    /// The column gateway
    Gateway,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The domain of all gateways; without it, the one that the source names
    #[arg(long, value_parser = domain)]
    domain: Option<DomainName>,
    /// The profile of gateways without one, or OLD=NEW to rename one; may be repeated
    #[arg(long = "profile", value_name = "PROFILE", value_parser = profile)]
    profiles: Vec<Profile>,
    /// Also replace gateways that are stored already and differ
    #[arg(long)]
    overwrite: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Only show what would be written; exit status 2 if something would
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Print one JSON object; writes only with --yes
    #[arg(long)]
    json: bool,
}

#[derive(Clone)]
enum Profile {
    Default(String),
    Renamed(String, String),
}

pub(super) async fn run(shared: &Shared, command: Command) -> anyhow::Result<ExitCode> {
    let (source, arguments, globals) = match command {
        Command::FsXml {
            paths,
            globals,
            arguments,
        } => (Source::FsXml(paths), arguments, globals),
        Command::Fusionpbx { file, name, arguments } => (Source::FusionPbx(file, name.into()), arguments, Vec::new()),
        Command::Csv { file, arguments } => (Source::Csv(file), arguments, Vec::new()),
        Command::Switch { name, arguments } => (Source::Switch(name), arguments, Vec::new()),
    };
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let imported = import(&service, source, &arguments, globals).await;
    imported.map_err(super::naming_server(&settings))
}

async fn import(
    service: &Service,
    source: Source,
    arguments: &Arguments,
    globals: Vec<(String, String)>,
) -> anyhow::Result<ExitCode> {
    let caller = Caller::cli();
    let import = service.read_import(source, arguments.options(globals)).await?;
    let draft = service.draft_import(&caller, import, arguments.overwrite).await?;
    if !arguments.json {
        print(&text::report(&draft))?;
    }
    let count = draft.difference().counts.differing();
    let has_errors = draft.import().has_errors() || !draft.difference().is_clean();
    let is_left = !draft.existing().is_empty();
    let answer = match count > 0 && arguments.may_write(&draft)? {
        true => service.write_import(&caller, draft).await?,
        false => draft.into_answer(),
    };
    let is_written = !answer.difference.dry_run;
    match arguments.json {
        true => print(&json_text(&answer)?)?,
        false => print(&text::outcome(&answer))?,
    }
    Ok(match () {
        () if has_errors || !answer.difference.is_clean() => ExitCode::FAILURE,
        () if is_left || (count > 0 && !is_written) => ExitCode::from(PENDING),
        () => ExitCode::SUCCESS,
    })
}

impl Arguments {
    fn options(&self, globals: Vec<(String, String)>) -> ImportOptions {
        let mut options = ImportOptions {
            domain: self.domain.clone(),
            globals,
            ..ImportOptions::default()
        };
        for profile in self.profiles.iter().cloned() {
            match profile {
                Profile::Default(name) => options.profiles.default = Some(name),
                Profile::Renamed(from, to) => {
                    options.profiles.renamed.insert(from, to);
                }
            }
        }
        options
    }

    fn may_write(&self, draft: &ImportDraft) -> anyhow::Result<bool> {
        if self.yes || self.dry_run || self.json {
            return Ok(self.yes);
        }
        confirm(
            &text::question(draft),
            "add --yes to write this, or --dry-run to only look",
        )
    }
}

impl From<Name> for Naming {
    fn from(name: Name) -> Self {
        match name {
            Name::Uuid => Self::Uuid,
            Name::Gateway => Self::Gateway,
        }
    }
}

fn profile(text: &str) -> Result<Profile, String> {
    let name = |name: &str| {
        ProfileName::parse(name)
            .map(|name| name.to_string())
            .map_err(|error| error.to_string())
    };
    match text.split_once('=') {
        // Whatever it is called there.
        Some((from, to)) => Ok(Profile::Renamed(from.to_owned(), name(to)?)),
        None => Ok(Profile::Default(name(text)?)),
    }
}

fn global(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
