//! `trunkd export`: the gateways as documents.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Shared, gateway, print_document};
use crate::documents::{Format, Secrets};
use crate::gateway::DomainName;
use crate::operate::export::{LeftOut, Selected};
use crate::operate::files::{Target, write_documents};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;
use crate::shown::shown_line;

/// Something can't be a document.
const LEFT_OUT: u8 = 2;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this domain
    #[arg(long, value_parser = gateway::domain)]
    domain: Option<DomainName>,
    /// What becomes of secrets: omit leaves them out, env writes ${env:NAME}, plain shows them
    #[arg(long, value_name = "HOW", default_value = "omit", value_parser = secrets)]
    secrets: Secrets,
    #[arg(long, value_name = "FORMAT", default_value = "yaml", value_parser = format)]
    format: Format,
    /// A file, or a new or empty folder (with a slash behind it) for a file of each gateway
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let selected = arguments.domain.as_ref().map_or(Selected::All, Selected::Domain);
    let exported = service
        .export(&Caller::cli(), selected, arguments.secrets, arguments.format)
        .await;
    let exported = exported.map_err(|error| error.naming_server(&settings))?;
    match &arguments.output {
        Some(path) => {
            let target = Target::of(path);
            write_documents(&target, &exported.documents, arguments.format).map_err(OperateError::Files)?;
        }
        None => {
            let documents = exported.documents.iter();
            print_document(&documents.map(|document| &*document.text).collect::<String>())?;
        }
    }
    Ok(report(&exported.left_out))
}

/// Names what is left out.
pub(super) fn report(left_out: &[LeftOut]) -> ExitCode {
    for left in left_out {
        let place = match &left.name {
            Some(name) => format!("{}/{name}", left.domain),
            None => left.domain.clone(),
        };
        let line = format!("{place} is left out: {}", left.reason);
        eprintln!("trunkd: {}", shown_line(&line));
    }
    match left_out.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(LEFT_OUT),
    }
}

fn secrets(text: &str) -> Result<Secrets, String> {
    match text {
        "omit" => Ok(Secrets::Omit),
        "env" => Ok(Secrets::Env),
        "plain" => Ok(Secrets::Plain),
        _ => Err("write omit, env or plain".to_owned()),
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "yaml" => Ok(Format::Yaml),
        "json" => Ok(Format::Json),
        _ => Err("write yaml or json".to_owned()),
    }
}
