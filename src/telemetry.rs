//! The log: one line for each event, on standard error, so that standard output has only what a
//! subcommand prints.

use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{LogFormat, LogSettings};
use crate::shown::{escaped, shown_json, shown_lines};

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "`log.level`: `{directive}` is not a directive: write a level (off, error, warn, info, debug, \
         trace), or levels for parts as in \"info,trunkd::ingest=debug\""
    )]
    BadDirective { directive: String },
    #[error("the log is set up already")]
    AlreadySetUp,
}

/// Lines that wait while standard error is read too slowly; a line has a few hundred bytes. Further
/// lines are lost: a slow reader of the log must not delay an answer.
const MAX_WAITING_LINES: usize = 8192;

/// Sets up the log on standard error: lines for people if that is a terminal or `log.format` is
/// `human`, otherwise one JSON object per line. A thread of its own writes them. Dropping the
/// returned guard writes the last lines.
///
/// # Errors
/// `log.level` is not a list of directives, or a subscriber is set up already.
pub fn init(settings: &LogSettings) -> Result<WorkerGuard, TelemetryError> {
    let filter = filter(&settings.level)?;
    let is_terminal = std::io::stderr().is_terminal();
    let style = match settings.format {
        LogFormat::Human => Style::Human { colour: is_terminal },
        LogFormat::Auto if is_terminal => Style::Human { colour: true },
        LogFormat::Auto | LogFormat::Json => Style::Json,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    subscriber(filter, style, writer)
        .try_init()
        .map_err(|_| TelemetryError::AlreadySetUp)?;
    Ok(guard)
}

/// Milliseconds for a log line, rounded to a hundredth: `2.88` and not `2.8805620000000003`.
pub fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 1e2
}

#[derive(Clone, Copy)]
enum Style {
    Human { colour: bool },
    Json,
}

/// Escapes foreign text in lines, so that it cannot control a terminal or begin a line of its own.
struct Escaping<W> {
    to: W,
    style: Style,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Escaping<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Escaping {
            to: self.to.make_writer(),
            style: self.style,
        }
    }
}

impl<W: io::Write> io::Write for Escaping<W> {
    /// The subscriber writes one line per call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut safe = match self.style {
            // Colours from this subscriber must pass.
            Style::Human { colour: true } => shown_lines(text).replace('\n', "\\n"),
            Style::Human { colour: false } => escaped(text),
            Style::Json => shown_json(text),
        };
        safe.push('\n');
        self.to.write_all(safe.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn subscriber<W>(filter: EnvFilter, style: Style, to: W) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(Escaping { to, style });
    let registry = tracing_subscriber::registry().with(filter);
    match style {
        Style::Human { colour } => Box::new(registry.with(layer.compact().with_ansi(colour))),
        Style::Json => Box::new(registry.with(layer.json().flatten_event(true).with_span_list(false))),
    }
}

/// It logs an error for every connection that does not speak HTTP, and a client can cause thousands
/// a second. trunkd logs the same once a minute.
const SILENT: &str = "actix_http";

/// Parses `log.level`. A bare level is for trunkd itself. Its dependencies (actix, redis, rustls,
/// …) log at `warn` at most, unless a directive names them, as in `debug,redis=debug`.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let bad = |directive: &str| TelemetryError::BadDirective {
        directive: directive.trim().to_owned(),
    };
    let mut directives = String::new();
    for directive in level.split(',') {
        let directive = directive.trim();
        if !directives.is_empty() {
            directives.push(',');
        }
        match directive.parse::<LevelFilter>() {
            Ok(level) if !directive.is_empty() => {
                let others = level.min(LevelFilter::WARN);
                directives.push_str(&format!("{others},{SILENT}=off,trunkd={level}"));
            }
            // `EnvFilter` would take a misspelt level for the name of a part, and would turn off
            // everything else.
            _ if !directive.contains(['=', '[']) => return Err(bad(directive)),
            _ => directives.push_str(directive),
        }
    }
    EnvFilter::builder().parse(&directives).map_err(|_| bad(level))
}

#[cfg(test)]
mod tests;
