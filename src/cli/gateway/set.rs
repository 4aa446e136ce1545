//! `trunkd gateway set`.

use std::process::ExitCode;

use serde_json::Value;

use super::super::Shared;
use super::assignments;
use super::outcome::{Done, finish};
use super::target::{Target, Writing};
use crate::gateway::ProfileName;
use crate::operate::gateways::{Assignments, Body};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Flags;

#[derive(clap::Args)]
#[command(after_help = "\
PARAM=VALUE sets a param, and PARAM= removes it. var:NAME=VALUE does the same with a variable; inbound:NAME=VALUE and \
outbound:NAME=VALUE limit it to such calls, both:NAME=VALUE doesn't. @FILE reads the \
value from a file, @- from standard input (on a terminal it asks), so that no password stands in the list of \
processes; @@x is the text @x. \
Everything else of the gateway stays as it is.")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// PARAM=VALUE, var:NAME=VALUE, inbound:NAME=VALUE or outbound:NAME=VALUE
    #[arg(value_name = "ASSIGNMENT")]
    assignments: Vec<String>,
    /// Enable it
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// Disable it: switches stop it
    #[arg(long)]
    disabled: bool,
    /// Its profile; an empty text stands for the default one
    #[arg(long, value_parser = profile)]
    profile: Option<String>,
    /// The switches that get it, with commas between; an empty text means all
    #[arg(long, value_name = "SWITCHNAMES")]
    nodes: Option<String>,
    /// `all`: it runs on all of its switches; `one`: on exactly one of them; or the JSON of its key `placement`
    #[arg(long, value_name = "all|one|JSON", value_parser = placement)]
    placement: Option<Value>,
    /// The switches that it prefers if it runs on one, with commas between, the best one first; empty: none
    #[arg(long, value_name = "SWITCHNAMES")]
    prefer: Option<String>,
    /// What it is for; an empty text removes it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The carrier behind it; an empty text removes it
    #[arg(long, value_name = "TEXT")]
    carrier: Option<String>,
    /// Add a tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Take a tag away; may be repeated
    #[arg(long = "untag", value_name = "TAG")]
    untags: Vec<String>,
    #[command(flatten)]
    writing: Writing,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let assignments = arguments.assignments()?;
    let service = Service::open(&settings)?;
    let caller = Caller::cli();
    let of = arguments.target.find(&service, &caller).await;
    let of = of.map_err(|error| match error {
        OperateError::InNoDomain(_) => anyhow::anyhow!("{error}: add --domain to create it"),
        error => error.naming_server(&settings).into(),
    })?;
    let (body, options) = (Body::Assign(assignments), arguments.writing.options());
    let written = service.write_gateway(&caller, &of, &body, &options).await;
    finish(&settings, written, options.dry_run, |written| match written.is_new {
        true => Done::new("create", "Created", &of),
        false => Done::new("change", "Changed", &of),
    })
}

impl Arguments {
    fn assignments(&self) -> anyhow::Result<Assignments> {
        let texts = [
            ("profile", &self.profile),
            ("description", &self.description),
            ("carrier", &self.carrier),
        ];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?)));
        let mut assignments = Assignments {
            texts: texts.collect(),
            enabled: (self.enabled || self.disabled).then_some(self.enabled),
            nodes: self.nodes.as_deref().map(names),
            placement: self.placement.clone(),
            prefer: self.prefer.as_deref().map(names),
            tags: self.tags.clone(),
            untags: self.untags.clone(),
            ..Assignments::default()
        };
        assignments::read(&self.assignments, assignments::from_stdin, &mut assignments)?;
        if assignments.is_empty() {
            anyhow::bail!("there is nothing to set: write PARAM=VALUE, or see `trunkd gateway set --help`");
        }
        Ok(assignments)
    }
}

fn names(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// What the key holds is checked with the rest of the value.
fn placement(text: &str) -> Result<Value, String> {
    match text {
        "all" | "one" => Ok(text.into()),
        _ => serde_json::from_str(text)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| r#"write all, one, or JSON such as {"mode":"one","failback":"after 10m"}"#.to_owned()),
    }
}

fn profile(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        ProfileName::parse(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}
