//! `trunkd user`: the people who may sign in.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::password::new_password;
use super::terminal::{moment, table};
use super::{Shared, json_text, naming_server, print};
use crate::access::{Caller, Domains, NewUser, Role, User};
use crate::operate::people::{self as operate, People};
use crate::operate::sources;
use crate::settings::Flags;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Add a user; asks for the password, or reads one line from standard input
    Add(Add),
    /// List the users
    List(List),
    /// Set a user's password, and sign the user out everywhere
    Passwd(Passwd),
    /// Remove a user, and sign the user out everywhere
    Rm(Rm),
}

#[derive(clap::Args)]
pub(super) struct Add {
    name: String,
    /// viewer, operator or admin
    #[arg(long)]
    role: Role,
    /// The user's domains, as `a,b`
    #[arg(long, default_value = "*")]
    domains: Domains,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct List {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Passwd {
    name: String,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Rm {
    name: String,
}

#[derive(Serialize)]
struct Users {
    users: Vec<User>,
}

pub(super) async fn run(shared: &Shared, command: Command) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let people = sources::people(&settings)?;
    let text = match command {
        Command::Add(arguments) => add(&people, arguments).await,
        Command::List(arguments) => list(&people, &arguments).await,
        Command::Passwd(arguments) => passwd(&people, &arguments).await,
        Command::Rm(arguments) => rm(&people, &arguments).await,
    };
    print(&text.map_err(naming_server(&settings))?)?;
    Ok(ExitCode::SUCCESS)
}

async fn add(people: &People, arguments: Add) -> anyhow::Result<String> {
    let new = NewUser {
        password: new_password(&arguments.name, arguments.password_file.as_deref())?,
        name: arguments.name,
        role: arguments.role,
        domains: arguments.domains,
    };
    let user = operate::add_user(people, &Caller::cli(), new).await?;
    let domains = domains_text(&user.domains);
    Ok(format!("Added user {}: {} of {domains}.\n", user.name, user.role))
}

async fn list(people: &People, arguments: &List) -> anyhow::Result<String> {
    let users = operate::users(people, &Caller::cli()).await?;
    if arguments.json {
        return json_text(&Users { users });
    }
    if users.is_empty() {
        return Ok("There is no user yet: `trunkd user add NAME --role admin` makes the first.\n".to_owned());
    }
    let now = Timestamp::now();
    let rows = users.into_iter().map(|user| {
        let created_at = moment(user.created_at, now);
        [user.name, user.role.to_string(), user.domains.to_string(), created_at]
    });
    Ok(table(["NAME", "ROLE", "DOMAINS", "CREATED"], rows))
}

async fn passwd(people: &People, arguments: &Passwd) -> anyhow::Result<String> {
    let name = &arguments.name;
    let password = new_password(name, arguments.password_file.as_deref())?;
    operate::set_password(people, &Caller::cli(), name, &password).await?;
    Ok(format!(
        "Changed the password of {name}, who has to sign in again everywhere.\n"
    ))
}

async fn rm(people: &People, arguments: &Rm) -> anyhow::Result<String> {
    let name = &arguments.name;
    operate::remove_user(people, &Caller::cli(), name).await?;
    Ok(format!("Removed user {name}, who is signed out everywhere.\n"))
}

pub(super) fn domains_text(domains: &Domains) -> String {
    match domains {
        Domains::All => "all domains".to_owned(),
        Domains::Some(_) => domains.to_string(),
    }
}
