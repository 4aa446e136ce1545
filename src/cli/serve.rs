//! `trunkd serve`: runs the service.

use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Shared, print, while_doing};
use crate::app::{Application, Timing};
use crate::embedded::Embedded;
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
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %address,
        redis = settings.redis.shown_url(),
        templates = %settings.templates.dir.display(),
        settings = settings.config_file.as_ref().map_or_else(|| "defaults".to_owned(), |file| file.display().to_string()),
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
    application.run_until_stopped(stop).await?;
    Ok(ExitCode::SUCCESS)
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
         curl http://{address}/xml_curl -d 'hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external'\n\n\
         # another gateway; the next curl has it\n\
         redis-cli -s {socket} HSET cti_gateway@default carrier2 '{{\"param\":{{\"realm\":\"sip2.example.net\",\"register\":\"false\"}}}}'\n\n\
         # what is served, and what the switches do with it (to add yours: README, \"Join a FreeSWITCH\")\n\
         {program}{config} --embedded --data-dir {} status\n\n",
        settings.data_dir.display(),
    )
}
