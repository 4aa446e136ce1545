//! `trunkd token`: the programs that may use the API.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::terminal::{clock, moment, table};
use super::user::domains_text;
use super::{Shared, json_text, naming_server, print};
use crate::access::{Caller, Domains, NewToken, Role, Token};
use crate::operate::people::{self as operate, People};
use crate::operate::sources;
use crate::settings::Flags;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a token, and print its secret alone on standard output
    Create(Create),
    /// List the tokens, and when each was last used
    List(List),
    /// End a token, immediately and everywhere
    Revoke(Revoke),
}

#[derive(clap::Args)]
pub(super) struct Create {
    name: String,
    /// viewer, operator or admin
    #[arg(long)]
    role: Role,
    /// The token's domains, as `a,b`
    #[arg(long, default_value = "*")]
    domains: Domains,
    /// End it after this time, such as `90d` [default: never]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<Duration>,
}

#[derive(clap::Args)]
pub(super) struct List {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Revoke {
    name: String,
}

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<Token>,
}

pub(super) async fn run(shared: &Shared, command: Command) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let people = sources::people(&settings)?;
    let text = match command {
        Command::Create(arguments) => create(&people, arguments).await,
        Command::List(arguments) => list(&people, &arguments).await,
        Command::Revoke(arguments) => revoke(&people, &arguments).await,
    };
    print(&text.map_err(naming_server(&settings))?)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the secret alone, so that it can be captured. What it is goes to standard error.
async fn create(people: &People, arguments: Create) -> anyhow::Result<String> {
    let now = Timestamp::now();
    let caller = Caller::cli();
    let new = NewToken {
        name: arguments.name,
        role: arguments.role,
        domains: arguments.domains,
        created_by: caller.identity.clone(),
        expires_at: arguments.expires.map(|lasts| now.checked_add(lasts)).transpose()?,
    };
    let (token, secret) = operate::create_token(people, &caller, new).await?;
    let until = token.expires_at.map_or_else(
        || "it never expires".to_owned(),
        |at| format!("it expires {}", clock(at, now)),
    );
    eprintln!(
        "Created token {}: {} of {}; {until}. Its secret, which can't be shown again:",
        token.name,
        token.role,
        domains_text(&token.domains)
    );
    Ok(format!("{}\n", secret.expose_secret()))
}

async fn list(people: &People, arguments: &List) -> anyhow::Result<String> {
    let tokens = operate::tokens(people, &Caller::cli()).await?;
    if arguments.json {
        return json_text(&Tokens { tokens });
    }
    if tokens.is_empty() {
        return Ok("There is no token yet: `trunkd token create NAME --role ROLE` makes one.\n".to_owned());
    }
    let now = Timestamp::now();
    let headings = ["NAME", "ROLE", "DOMAINS", "CREATED", "BY", "EXPIRES", "LAST USED"];
    Ok(table(headings, tokens.into_iter().map(|token| row(token, now))))
}

fn row(token: Token, now: Timestamp) -> [String; 7] {
    let or_never = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| moment(at, now));
    let expires = match token.expires_at {
        Some(at) if at <= now => format!("expired {}", moment(at, now)),
        at => or_never(at),
    };
    [
        token.name,
        token.role.to_string(),
        token.domains.to_string(),
        moment(token.created_at, now),
        token.created_by,
        expires,
        or_never(token.last_used_at),
    ]
}

async fn revoke(people: &People, arguments: &Revoke) -> anyhow::Result<String> {
    let name = &arguments.name;
    operate::revoke_token(people, &Caller::cli(), name).await?;
    Ok(format!("Revoked token {name}: every trunkd refuses it from now on.\n"))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(lasts) if lasts.is_zero() => Err("a token that expires at once is of no use".to_owned()),
        Ok(lasts) => Ok(lasts),
        Err(error) => Err(format!("{error}: write a time such as 90d or 12h")),
    }
}
