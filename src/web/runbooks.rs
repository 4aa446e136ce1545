//! The runbooks: what to do about what is wrong. They are part of the program.
//!
//! Everybody may read them, for nobody can sign in while Redis is away.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, get};
use askama::Template;
use pulldown_cmark::{Event, Parser, Tag, TagEnd, html};

use super::page::{Frame, show};
use crate::language::Language;
use crate::operate::status::{BlockCode, Gateway, Note, NoteCode, ReasonCode};
use crate::portal::caller;

static ENGLISH: LazyLock<String> = LazyLock::new(|| rendered(include_str!("../../docs/runbooks.md")));
static CHINESE: LazyLock<String> = LazyLock::new(|| rendered(include_str!("../../docs/zh-CN/runbooks.md")));

#[derive(Template)]
#[template(path = "runbooks.html")]
struct RunbooksPage {
    frame: Frame,
    /// HTML.
    text: &'static str,
}

/// The page.
#[get("/runbooks")]
pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    // The navigation is for who is signed in.
    if let Ok((caller, _)) = caller(&request).await {
        request.extensions_mut().insert(caller);
    }
    let frame = Frame::new(&request, "runbooks");
    let text = match frame.t.0 {
        Language::En => &*ENGLISH,
        Language::Zh => &*CHINESE,
    };
    show(StatusCode::OK, &RunbooksPage { frame, text })
}

/// The runbook for a gateway that calls can't use, or that is not what Redis wants: its address.
pub(super) fn of_gateway(gateway: &Gateway) -> Option<&'static str> {
    of_reason(gateway).or_else(|| gateway.note.as_ref().and_then(of_note))
}

fn of_reason(gateway: &Gateway) -> Option<&'static str> {
    let refusal = gateway.status.as_deref().unwrap_or_default();
    match (gateway.reason_code?, refusal) {
        (ReasonCode::Registering, _) => None,
        (ReasonCode::Refused, "401" | "403" | "404" | "407" | "410" | "904") => Some("/runbooks#trunkdgatewayrefused"),
        _ => Some("/runbooks#trunkdgatewaydown"),
    }
}

fn of_note(note: &Note) -> Option<&'static str> {
    match (note.code, note.blocked_by) {
        (NoteCode::SwitchUnreachable | NoteCode::SwitchNotConnected, _) | (_, Some(BlockCode::NoTrunkd)) => {
            Some("/runbooks#trunkdswitchaway")
        }
        (NoteCode::NewValueRefused | NoteCode::Kept, _) => Some("/runbooks#trunkdgatewayinvalid"),
        (NoteCode::RolledBack | NoteCode::EditHeld, _) => Some("/runbooks#trunkdeditrolledback"),
        (NoteCode::Parked, _) => Some("/runbooks#trunkdgatewaysparked"),
        (NoteCode::ActionFailed, _) => Some("/runbooks#trunkdchangefails"),
        (NoteCode::NameInUse | NoteCode::Ghost | NoteCode::ProfileNotRunning, _) => Some("/runbooks#trunkdconflict"),
        (_, Some(BlockCode::Held)) => Some("/runbooks#trunkdplanheld"),
        (_, Some(BlockCode::Paused)) => Some("/runbooks#trunkdpausedforlong"),
        (_, Some(BlockCode::NoReconciler)) => Some("/runbooks#trunkdnobodyleads"),
        (NoteCode::NotTakenOver, _) => Some("/runbooks#trunkdgatewaywithoutswitch"),
        (
            NoteCode::Missing
            | NoteCode::Outdated
            | NoteCode::Unwanted
            | NoteCode::Elsewhere
            | NoteCode::NotOurs
            | NoteCode::EditWaits,
            _,
        ) => None,
    }
}

/// Markdown as HTML, with the anchors that the docs use. Links to other files of the docs become plain text.
fn rendered(markdown: &str) -> String {
    let mut is_left_out = false;
    let is_shown = |event: &Event<'_>| match event {
        Event::Start(Tag::Link { dest_url, .. }) => {
            is_left_out = !dest_url.starts_with('#');
            !is_left_out
        }
        Event::End(TagEnd::Link) => !is_left_out,
        _ => true,
    };
    let mut events: Vec<_> = Parser::new(markdown).filter(is_shown).collect();
    for at in 1..events.len() {
        let (before, here) = events.split_at_mut(at);
        if let (Some(Event::Start(Tag::Heading { id, .. })), Event::Text(title)) = (before.last_mut(), &here[0]) {
            *id = Some(title.to_lowercase().replace(' ', "-").into());
        }
    }
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    text
}

#[cfg(test)]
mod tests;
