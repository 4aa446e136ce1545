use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::*;

#[test]
fn foreign_text_cannot_control_a_terminal_or_begin_a_line() {
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
fn a_bare_level_is_for_trunkd_and_other_crates_stay_at_warn() {
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
fn a_level_below_warn_is_for_other_crates_too() {
    assert_eq!(logged("error", Style::Human { colour: false }), "");
    assert_eq!(logged("off", Style::Human { colour: false }), "");
}

#[test]
fn a_directive_can_name_another_crate() {
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
fn actix_http_logs_only_if_a_directive_names_it() {
    let log = logged("info,actix_http=debug", Style::Human { colour: false });
    assert!(log.contains("stream error"), "{log}");
}

#[test]
fn json_lines_have_the_fields_beside_the_message() {
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
