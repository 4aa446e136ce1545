//! `trunkd status --watch`: one screen, refreshed every second. Restores the terminal at the end.

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::super::terminal::{self, Size, wrap};
use super::super::{print, while_doing};
use super::text;
use crate::operate::OperateError;
use crate::operate::status::{Selection, Status, StatusSource};
use crate::shown::shown_line;

const INTERVAL: Duration = Duration::from_secs(1);
/// While Redis is down, the switches are asked, which takes a lock that call setup needs (FACTS 25).
const INTERVAL_AWAY: Duration = Duration::from_secs(10);
/// A shell's exit status for a program that a signal ended is 128 plus the signal's number.
const ENDED_BY_SIGNAL: u8 = 128;

/// The alternate screen. Dropping it brings the previous content back.
struct Screen;

impl Screen {
    fn enter() -> std::io::Result<Self> {
        let screen = Self;
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Overwrites line by line, so that it does not flicker.
    fn show(&self, text: &str, size: Size) -> std::io::Result<()> {
        let mut out = stdout().lock();
        queue!(out, MoveTo(0, 0))?;
        for line in text.lines().take(size.lines.saturating_sub(1)) {
            queue!(out, Print(line), Clear(ClearType::UntilNewLine), Print("\r\n"))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    }
}

/// Until a signal ends it.
pub(super) async fn run(source: &StatusSource, selection: &Selection) -> anyhow::Result<ExitCode> {
    if !stdout().is_terminal() {
        return pages(source, selection).await;
    }
    let cannot = |error: std::io::Error| while_doing("cannot listen for signals")(error);
    let mut endings = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        endings.push((kind, signal(kind).map_err(cannot)?));
    }
    let mut resized = signal(SignalKind::window_change()).map_err(cannot)?;
    let cannot = |error: std::io::Error| while_doing("cannot write to the terminal")(error);
    let screen = Screen::enter().map_err(cannot)?;
    loop {
        let read = tokio::select! {
            read = read(source, selection) => read,
            kind = any(&mut endings) => return Ok(ended_by(kind)),
        };
        let next = sleep(interval(&read));
        tokio::pin!(next);
        loop {
            let size = terminal::size().unwrap_or(terminal::UNKNOWN_SIZE);
            let text = match &read {
                Ok(status) => text::screen(status, size, Timestamp::now()),
                Err(error) => wrap(&shown_line(&error.to_string()).to_string(), size.columns).join("\n"),
            };
            screen.show(&text, size).map_err(cannot)?;
            tokio::select! {
                () = &mut next => break,
                kind = any(&mut endings) => return Ok(ended_by(kind)),
                _ = resized.recv() => {}
            }
        }
    }
}

/// Where no terminal is, whole and one after the other.
async fn pages(source: &StatusSource, selection: &Selection) -> anyhow::Result<ExitCode> {
    loop {
        let status = source.read(selection.is_everywhere()).await;
        let next = interval(&status);
        let text = match status {
            Ok(mut status) => {
                selection.apply(&mut status)?;
                text::whole(&status, None, Timestamp::now())
            }
            Err(error) => format!("{}\n", shown_line(&error.to_string())),
        };
        print(&format!("{text}\n"))?;
        sleep(next).await;
    }
}

async fn read(source: &StatusSource, selection: &Selection) -> Result<Status, OperateError> {
    let mut status = source.read(false).await?;
    selection.apply(&mut status)?;
    Ok(status)
}

/// Until the next read.
fn interval(read: &Result<Status, OperateError>) -> Duration {
    match read {
        Ok(status) if status.redis_down.is_none() => INTERVAL,
        _ => INTERVAL_AWAY,
    }
}

async fn any(endings: &mut [(SignalKind, Signal)]) -> SignalKind {
    let waiting = endings.iter_mut().map(|(kind, signal)| {
        Box::pin(async move {
            signal.recv().await;
            *kind
        })
    });
    futures_util::future::select_all(waiting).await.0
}

fn ended_by(kind: SignalKind) -> ExitCode {
    let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
    ExitCode::from(ENDED_BY_SIGNAL + number)
}
