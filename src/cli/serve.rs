//! `trunkd serve`: runs the service.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Shared, print, while_doing};
use crate::access::{AccessError, Domains, NewToken, Role};
use crate::app::{Application, Timing};
use crate::embedded::Embedded;
use crate::operate::{Caller, OperateError, Service, people};
use crate::settings::{Flags, Settings};
use crate::telemetry;

/// Domain and name of the sample gateway.
const SAMPLE: (&str, &str) = ("default", "sample");
/// An IP trunk with the usual settings, to a carrier that does not exist.
const SAMPLE_VALUE: &str = r#"{"param":{"register":"false","caller-id-in-from":"true","realm":"sip.example.net","from-user":"","destination-prefix":"","username":"mytrunk","password":"mytrunk@ddt"},"variables":{"sip_sticky_contact":"true"}}"#;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// With --embedded: add a sample gateway if there is none, and show what to try next
    #[arg(long)]
    sample: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new().set("--listen", "http.listen", arguments.listen.clone()))?;
    let _log = telemetry::init(&settings.log)?;
    if arguments.sample && !settings.redis.embedded {
        anyhow::bail!("--sample writes to the embedded Redis alone: add --embedded, or leave --sample out");
    }
    settings.validate_for_serve()?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    // The embedded Redis may take minutes to load its file.
    let built = stop
        .run_until_cancelled(Application::build(settings.clone(), Timing::default()))
        .await;
    let Some(application) = built.transpose()? else {
        tracing::info!("stopped while it was starting");
        return Ok(ExitCode::SUCCESS);
    };
    let address = application.address();
    let file = settings.config_file.as_ref();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %address,
        api = application.api_address().map(tracing::field::display),
        redis = settings.redis.shown_url(),
        templates = %settings.templates.dir.display(),
        settings = file.map_or_else(|| "defaults".to_owned(), |file| file.display().to_string()),
        "serving"
    );
    if arguments.sample {
        let (domain, gateway) = SAMPLE;
        application
            .store()
            .seed_gateway(domain, gateway, SAMPLE_VALUE)
            .await
            .map_err(while_doing("the sample gateway"))?;
        print(&what_to_try(&settings, address))?;
    }
    invite(&settings, &application, arguments.sample).await?;
    application.run_until_stopped(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says how the first admin is made, and with the sample, how the API is tried. The code and the token go
/// to the terminal only: a log file is read by others.
async fn invite(settings: &Settings, application: &Application, is_sample: bool) -> anyhow::Result<()> {
    let Some(address) = application.api_address() else {
        return Ok(());
    };
    let url = match settings.api.public_url.as_str() {
        "" if settings.api.tls.is_some() => format!("https://{address}"),
        "" => format!("http://{address}"),
        url => url.to_owned(),
    };
    let service = application.service();
    match service.access().new_setup_code().await {
        Ok(Some(code)) if is_sample || std::io::stdout().is_terminal() => print(&format!(
            "There is no user yet. Open this in a browser within 15 minutes and make the first admin:\n\n    \
             {url}/setup?code={}\n\n",
            code.expose_secret()
        ))?,
        Ok(Some(_)) => tracing::info!("the API has no user yet: `trunkd user add NAME --role admin` makes the first"),
        Ok(None) => {}
        Err(error) => tracing::warn!("whether the API has users is not known: {error}"),
    }
    if is_sample {
        let secret = sample_token(service)
            .await
            .map_err(while_doing("a token for the sample"))?;
        print(&format!(
            "The pages are at {url}/, and the API is described at {url}/api/docs/. With a token that lasts a \
             day:\n\n    curl -H 'Authorization: Bearer {}' {url}/api/v1/gateways\n\n",
            secret.expose_secret()
        ))?;
    }
    Ok(())
}

/// A new token in place of that of the last run.
async fn sample_token(service: &Service) -> Result<SecretString, OperateError> {
    const NAME: &str = "make-run";
    let caller = Caller::cli();
    let people = service.people();
    match people::revoke_token(people, &caller, NAME).await {
        Ok(()) | Err(OperateError::Access(AccessError::UnknownToken(_))) => {}
        Err(error) => return Err(error),
    }
    let new = NewToken {
        name: NAME.to_owned(),
        role: Role::Admin,
        domains: Domains::All,
        created_by: caller.identity.clone(),
        expires_at: Timestamp::now().checked_add(SignedDuration::from_hours(24)).ok(),
    };
    Ok(people::create_token(people, &caller, new).await?.1)
}

fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(while_doing("cannot listen for signals"))?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}

/// Commands to paste into another terminal.
fn what_to_try(settings: &Settings, address: SocketAddr) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "trunkd".to_owned());
    let socket = Embedded::socket(&settings.data_dir).display().to_string();
    let config = settings
        .config_file
        .as_ref()
        .map(|file| format!(" --config {}", file.display()))
        .unwrap_or_default();
    format!(
        "\ntrunkd listens on http://{address}, with a Redis of its own at {socket}. From another terminal here:\n\n\
         # what FreeSWITCH asks when the external profile starts\n\
         curl http://{address}/xml_curl -d 'hostname=fs1&section=configuration&tag_name=configuration&\
         key_name=name&key_value=sofia.conf&profile=external'\n\n\
         # another gateway; the next curl has it\n\
         redis-cli -s {socket} HSET cti_gateway@default carrier2 \
         '{{\"param\":{{\"realm\":\"sip2.example.net\",\"register\":\"false\"}}}}'\n\n\
         # what is served, and what the switches do with it (to add yours: README, \"Join a FreeSWITCH\")\n\
         {program}{config} --embedded --data-dir {} status\n\n",
        settings.data_dir.display(),
    )
}
