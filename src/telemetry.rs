//! Logs: one line an event, to standard error, so that what a subcommand prints stays clean.

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

/// Why logging can't begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "`log.level`: `{directive}` is no directive: write a level (off, error, warn, info, debug, trace), or levels for parts as \
         \"info,trunkd::ingest=debug\""
    )]
    BadDirective { directive: String },
    #[error("logging was begun twice")]
    BegunTwice,
}

/// Lines that wait for a standard error that is read more slowly than they come, some hundred bytes each. Beyond them, new
/// lines are lost: nobody who reads a log may hold up an answer.
const MOST_WAITING_LINES: usize = 8192;

/// Sends what is logged from here on to standard error: lines for people on a terminal or with `format = "human"`, one JSON object
/// a line otherwise. A thread of its own writes them. The last lines are written when what this returns is dropped.
///
/// # Errors
/// `log.level` is no list of directives; or there is a subscriber already.
pub fn init(settings: &LogSettings) -> Result<WorkerGuard, TelemetryError> {
    let filter = filter(&settings.level)?;
    let is_terminal = std::io::stderr().is_terminal();
    let style = match settings.format {
        LogFormat::Human => Style::Human { colour: is_terminal },
        LogFormat::Auto if is_terminal => Style::Human { colour: true },
        LogFormat::Auto | LogFormat::Json => Style::Json,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MOST_WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    subscriber(filter, style, writer)
        .try_init()
        .map_err(|_| TelemetryError::BegunTwice)?;
    Ok(guard)
}

/// A time in milliseconds for a log line, to a hundredth: `2.88` and not `2.8805620000000003`.
pub fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 1e2
}

/// How a line is written.
#[derive(Clone, Copy)]
enum Style {
    Human { colour: bool },
    Json,
}

/// Writes lines in which foreign text acts on no terminal and begins no line of its own.
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
    /// The subscriber writes a line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut safe = match self.style {
            // The colours are this subscriber's.
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

/// Logs an error for every connection that isn't HTTP, thousands a second if a client wishes. trunkd logs
/// the same once a minute.
const SILENT: &str = "actix_http";

/// `level` as a filter. A bare level is trunkd's own; what it is built from (actix, redis, rustls, the event-socket crate, …) is
/// held at `warn`, or at the bare level where that says less, unless a directive names it: `debug,redis=debug`.
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
            // `EnvFilter` would take a misspelt level for the name of a part, and everything else would fall silent.
            _ if !directive.contains(['=', '[']) => return Err(bad(directive)),
            _ => directives.push_str(directive),
        }
    }
    EnvFilter::builder().parse(&directives).map_err(|_| bad(level))
}

#[cfg(test)]
mod tests;
