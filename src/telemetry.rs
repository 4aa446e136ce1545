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
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[test]
    fn foreign_text_acts_on_no_terminal_and_begins_no_line() {
        let foreign = "\x1b]0;owned\x07\x1b[31m\u{202e}\nforged\r";
        for style in [Style::Human { colour: false }, Style::Json] {
            let lines = Lines::default();
            let to = lines.clone();
            let subscriber = subscriber(filter("info").unwrap(), style, move || to.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: "trunkd::redis", field = foreign, shown = %foreign, "{foreign}");
            });
            let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert_eq!(written.lines().count(), 1, "{written}");
            assert!(
                written.trim_end_matches('\n').chars().all(crate::shown::is_harmless),
                "{written}"
            );
            assert_eq!(written.matches("forged").count(), 3, "{written}");
            if let Style::Json = style {
                let line: serde_json::Value = serde_json::from_str(&written).unwrap();
                assert_eq!(line["message"], foreign);
            }
        }
    }

    #[test]
    fn milliseconds_are_logged_to_a_hundredth() {
        assert_eq!(ms(Duration::from_nanos(2_880_562)).to_string(), "2.88");
        assert_eq!(ms(Duration::from_secs(3)).to_string(), "3000");
        for nanos in (0..10_000_000_000u64).step_by(7_654_321) {
            let text = ms(Duration::from_nanos(nanos)).to_string();
            let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
            assert!(digits <= 2, "{text}");
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, style: Style) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = subscriber(filter(level).unwrap(), style, move || to.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "trunkd::redis", gateway = "carrier-a", "stored");
            tracing::debug!(target: "trunkd::ingest", "an event");
            tracing::info!(target: "actix_server::builder", "starting 2 workers");
            tracing::debug!(target: "redis::client", "a reply");
            tracing::warn!(target: "rustls::conn", "a bad handshake");
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_bare_level_is_trunkds_own_and_other_crates_are_held_at_warn() {
        let log = logged("debug", Style::Human { colour: false });
        for (line, is_there) in [
            ("stored", true),
            ("an event", true),
            ("starting 2", false),
            ("a reply", false),
            ("a bad handshake", true),
            ("stream error", false),
        ] {
            assert_eq!(log.contains(line), is_there, "{line} in {log}");
        }
    }

    #[test]
    fn a_level_below_warn_quietens_the_others_too() {
        assert_eq!(logged("error", Style::Human { colour: false }), "");
        assert_eq!(logged("off", Style::Human { colour: false }), "");
    }

    #[test]
    fn a_directive_that_names_a_crate_lets_it_speak() {
        let log = logged("warn, redis=debug,trunkd::redis=info", Style::Human { colour: false });
        for (line, is_there) in [
            ("stored", true),
            ("an event", false),
            ("starting 2", false),
            ("a reply", true),
        ] {
            assert_eq!(log.contains(line), is_there, "{line} in {log}");
        }
    }

    #[test]
    fn what_is_silent_by_itself_speaks_when_it_is_named() {
        let log = logged("info,actix_http=debug", Style::Human { colour: false });
        assert!(log.contains("stream error"), "{log}");
    }

    #[test]
    fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
        let log = logged("info", Style::Json);
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(first["message"], "stored");
        assert_eq!(first["gateway"], "carrier-a");
        assert_eq!(first["level"], "INFO");
        assert!(first["timestamp"].is_string());
    }

    #[test]
    fn a_bad_directive_is_named() {
        for (level, named) in [
            ("inof", "`inof`"),
            ("info,trunkd=loud", "`info,trunkd=loud`"),
            ("", "``"),
            ("info,,", "``"),
        ] {
            let error = filter(level).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("log.level"), "{error}");
        }
        assert!(filter("info,trunkd[request{kind=rescan}]=trace").is_ok());
    }
}
