//! `trunkd import`: gateways from FreeSWITCH's files, FusionPBX, a spreadsheet or a running switch.

mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use super::gateway::domain;
use super::transfer::{Asking, DIFFERS, show_and_write};
use super::{Shared, json_text, print};
use crate::gateway::{DomainName, ProfileName};
use crate::operate::foreign::{ImportDraft, ImportOptions, Naming, Source};
use crate::operate::{Caller, Service};
use crate::settings::Flags;

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
    let import = service.read_import(source, arguments.options(globals)).await?;
    // What is wrong with the source is worth knowing, also while Redis can't be asked.
    if !arguments.json {
        print(&text::source(&import))?;
    }
    let drafted = service.draft_import(&Caller::cli(), import, arguments.overwrite).await;
    let draft = drafted.map_err(|error| error.naming_server(&settings))?;
    let (has_errors, is_left) = (draft.import.has_errors(), !draft.existing.is_empty());
    let written = match arguments.json {
        true => write_json(&service, draft, arguments.yes).await,
        false => {
            print(&text::existing(&draft.existing))?;
            let asking = Asking {
                dry_run: arguments.dry_run,
                yes: arguments.yes,
            };
            show_and_write(&settings, &service, draft.transfer, asking).await
        }
    };
    Ok(match written.map_err(super::naming_server(&settings))? {
        _ if has_errors => ExitCode::FAILURE,
        ExitCode::SUCCESS if is_left => ExitCode::from(DIFFERS),
        code => code,
    })
}

async fn write_json(service: &Service, draft: ImportDraft, yes: bool) -> anyhow::Result<ExitCode> {
    let answer = match yes {
        true => service.write_import(&Caller::cli(), draft).await?,
        false => draft.into_answer(),
    };
    print(&json_text(&answer)?)?;
    let difference = &answer.difference;
    Ok(match () {
        () if !difference.is_clean() => ExitCode::FAILURE,
        () if difference.dry_run && difference.counts.differing() > 0 => ExitCode::from(DIFFERS),
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
