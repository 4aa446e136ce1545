//! The page that shows what a change does before it is made.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::changes::{ChangeRow, EffectRow, change_rows, effect_rows};
use super::rich::Rich;
use crate::operate::gateways::Written;
use crate::web::page::{Frame, show};

#[derive(Template)]
#[template(path = "gateway_review.html")]
pub(super) struct ReviewPage {
    pub(super) frame: Frame,
    /// What is about to happen.
    pub(super) title: String,
    pub(super) problem: Option<String>,
    pub(super) changes: Vec<ChangeRow>,
    pub(super) effects: Vec<EffectRow>,
    /// What was changed since by others, if that is the problem.
    pub(super) since: Vec<ChangeRow>,
    /// What may not be as intended.
    pub(super) warnings: Vec<Warning>,
    /// Where the form goes.
    pub(super) action: String,
    pub(super) hidden: Vec<(String, String)>,
    /// The button's text.
    pub(super) button: String,
    pub(super) is_dangerous: bool,
    /// Type this name to go on.
    pub(super) typed_name: Option<String>,
    /// Whether one can go back to the form with what was typed.
    pub(super) has_form: bool,
    /// The page to go back to.
    pub(super) back: String,
}

pub(super) struct Warning {
    pub(super) field: String,
    pub(super) reason: Rich,
    pub(super) fix: Rich,
}

impl ReviewPage {
    /// A page about this change.
    pub(super) fn new(frame: Frame, title: String, button: String, written: &Written) -> Self {
        Self {
            changes: change_rows(&written.changes),
            effects: effect_rows(frame.t, &written.effect),
            frame,
            title,
            button,
            problem: None,
            since: Vec::new(),
            warnings: Vec::new(),
            action: String::new(),
            hidden: Vec::new(),
            is_dangerous: false,
            typed_name: None,
            has_form: false,
            back: String::new(),
        }
    }

    pub(super) fn show(&self, status: StatusCode) -> HttpResponse {
        show(status, self)
    }
}
