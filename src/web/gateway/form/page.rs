//! The form as a page: empty, filled in from what is stored, or again with what was typed.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::entry::{Entry, Target, of_path};
use super::field::Source;
use super::finding::FoundProblem;
use super::preset::Preset;
use super::view::FormView;
use crate::access::{Forbidden, Role};
use crate::operate::listing::Offers;
use crate::operate::{Caller, OperateError, Service};
use crate::portal::SignedIn;
use crate::web::failure::{Failure, no_such_page, page as page_of};
use crate::web::page::{Frame, show};

#[derive(Deserialize)]
pub(in crate::web) struct Wanted {
    preset: Option<Preset>,
}

#[derive(Template)]
#[template(path = "gateway_preset.html")]
struct PresetPage {
    frame: Frame,
    presets: [Preset; 3],
}

#[derive(Template)]
#[template(path = "gateway_form.html")]
struct FormPage {
    frame: Frame,
    title: String,
    /// Domain and name of the gateway that is edited.
    of: Option<(String, String)>,
    form: FormView,
    preset: &'static str,
    action: String,
    back: String,
    etag: String,
    problem: Option<String>,
    note: Option<String>,
}

/// Only the findings, for a form that is being filled in.
#[derive(Template)]
#[template(path = "gateway_findings.html")]
struct FindingsPage {
    frame: Frame,
    form: FormView,
}

/// What a form is shown with.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) problems: Vec<FoundProblem>,
    pub(super) problem: Option<String>,
    pub(super) note: Option<String>,
    pub(super) sealed: Vec<(&'static str, String)>,
}

/// A new gateway: first the kind of trunk, then its form.
#[get("/gateways/new")]
pub(in crate::web) async fn new(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    wanted: web::Query<Wanted>,
) -> HttpResponse {
    let made = async {
        caller.requires(Role::Operator).map_err(OperateError::from)?;
        let Some(preset) = wanted.preset else {
            let page = PresetPage {
                frame: Frame::new(&request, "gateways"),
                presets: Preset::ALL,
            };
            return Ok(show(StatusCode::OK, &page));
        };
        let offers = service.offers(&caller).await?;
        let entry = Entry::new(preset);
        Ok::<_, Failure>(form_page(&request, &entry, &offers, Shown::default(), StatusCode::OK))
    };
    let made = made.await;
    page_of(&request, made)
}

/// The form of a gateway that there is.
#[get("/domains/{domain}/gateways/{name}/edit")]
pub(in crate::web) async fn edit(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
) -> HttpResponse {
    let Some(of) = of_path(&request) else {
        return no_such_page(request).await;
    };
    let made = async {
        may_edit(&caller, &of.domain)?;
        let offers = service.offers(&caller).await?;
        let entry = Entry::read(&service, &caller, of).await?;
        Ok::<_, Failure>(form_page(&request, &entry, &offers, Shown::default(), StatusCode::OK))
    };
    let made = made.await;
    page_of(&request, made)
}

fn may_edit(caller: &Caller, domain: &crate::gateway::DomainName) -> Result<(), OperateError> {
    let allowed: Result<(), Forbidden> = caller.may_edit(domain.text());
    allowed.map_err(OperateError::from)
}

fn view(frame: &Frame, entry: &Entry, offers: &Offers, shown: &Shown) -> FormView {
    let source = Source {
        t: frame.t,
        stored: &entry.stored,
        sent: entry.sent.as_ref(),
        problems: &shown.problems,
        sealed: &shown.sealed,
        defaults: match entry.target {
            Target::New => entry.preset.values(),
            Target::Edit(_) => &[],
        },
        is_edit: matches!(entry.target, Target::Edit(_)),
    };
    FormView::new(&source, entry.preset, offers)
}

/// The whole form.
pub(super) fn form_page(
    request: &HttpRequest,
    entry: &Entry,
    offers: &Offers,
    shown: Shown,
    status: StatusCode,
) -> HttpResponse {
    let frame = Frame::new(request, "gateways").as_of(offers.names.stale_since, Timestamp::now());
    let form = view(&frame, entry, offers, &shown);
    let title = match &entry.target {
        Target::New => frame.t.get("add-trunk").into_owned(),
        Target::Edit(of) => frame.t.with("edit-title", of.name.as_str()).into_owned(),
    };
    let page = FormPage {
        title,
        of: match &entry.target {
            Target::New => None,
            Target::Edit(of) => Some((of.domain.to_string(), of.name.to_string())),
        },
        form,
        preset: entry.preset.word(),
        action: entry.target.url(),
        back: entry.target.back(),
        etag: entry.etag.clone().unwrap_or_default(),
        problem: shown.problem,
        note: shown.note,
        frame,
    };
    show(status, &page)
}

/// The findings alone.
pub(super) fn findings_page(request: &HttpRequest, entry: &Entry, problems: Vec<FoundProblem>) -> HttpResponse {
    let frame = Frame::new(request, "gateways");
    let shown = Shown {
        problems,
        ..Shown::default()
    };
    let form = view(&frame, entry, &Offers::default(), &shown);
    show(StatusCode::OK, &FindingsPage { frame, form })
}
