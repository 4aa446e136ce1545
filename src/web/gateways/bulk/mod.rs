//! One change to many gateways: the first POST shows what would happen, the second does it.

mod form;
mod outcome;
mod restart;

pub(in crate::web) use restart::show_progress;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use askama::Template;

use super::super::failure::{Failure, page as page_of};
use super::super::page::{Frame, show};
use crate::language::Bilingual;
use crate::operate::gateways::RestartOptions;
use crate::operate::gateways::bulk::BulkOptions;
use crate::operate::{Caller, OperateError, Service};
use crate::portal::SignedIn;
use crate::web::address::see_other;
use crate::web::forecast::interruption;
use form::{Action, Form};
use outcome::Outcome;

/// A page of rows, each with its domain and name, at most 1,000 of them.
const MAX_FORM_BYTES: usize = 1024 * 1024;

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: Frame,
    title: String,
    /// What the next POST sends again.
    hidden: Vec<(&'static str, String)>,
    back: String,
    tags: String,
    problem: Option<String>,
    stage: Stage,
}

enum Stage {
    /// Which tags?
    Tags,
    /// It would be so.
    Preview {
        outcome: Outcome,
        button: String,
        /// The label of a field that asks for their number, so that nobody deletes by mistake.
        number: Option<String>,
        interruption: Option<String>,
    },
    Report(Outcome),
}

/// Both POSTs. Who comes back to them, for instance in another language, gets the list.
pub(in crate::web) fn resources() -> (Resource, Resource) {
    let limit = || web::PayloadConfig::new(MAX_FORM_BYTES);
    (
        web::resource("/gateways/bulk")
            .app_data(limit())
            .route(web::post().to(preview))
            .route(web::get().to(to_list)),
        web::resource("/gateways/bulk/run")
            .app_data(limit())
            .route(web::post().to(run))
            .route(web::get().to(to_list)),
    )
}

async fn to_list() -> HttpResponse {
    see_other("/gateways").finish()
}

async fn preview(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    answer(&service, &caller, &request, &body, false).await
}

async fn run(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    answer(&service, &caller, &request, &body, true).await
}

/// `is_sure`: the preview was sent on.
async fn answer(service: &Service, caller: &Caller, request: &HttpRequest, body: &[u8], is_sure: bool) -> HttpResponse {
    let answer = async {
        let asked = Asked {
            service,
            caller,
            request,
            form: Form::parse(Frame::new(request, "").t, body)?,
        };
        match is_sure {
            true => asked.run().await,
            false => asked.preview(None).await,
        }
    };
    let answer = answer.await;
    page_of(request, answer)
}

struct Asked<'a> {
    service: &'a Service,
    caller: &'a Caller,
    request: &'a HttpRequest,
    form: Form,
}

impl Asked<'_> {
    async fn preview(&self, problem: Option<String>) -> Result<HttpResponse, Failure> {
        let frame = Frame::new(self.request, "gateways");
        let t = frame.t;
        if self.form.lacks_tags() {
            return Ok(self.show(frame, Stage::Tags, problem));
        }
        let outcome = match self.form.action.change(&self.form.tags) {
            Some(change) => {
                let options = BulkOptions {
                    dry_run: true,
                    ..BulkOptions::default()
                };
                let answer = self
                    .service
                    .change_gateways(self.caller, &self.form.chosen, &change, options);
                Outcome::of_change(t, &answer.await?)
            }
            None => {
                let options = RestartOptions {
                    dry_run: true,
                    ..RestartOptions::default()
                };
                let restart = self
                    .service
                    .restart_many(self.caller, &self.form.chosen, &options)
                    .await?;
                Outcome::of_restart(t, &restart)
            }
        };
        let stage = Stage::Preview {
            button: t.count(self.form.action.button(), outcome.changes).into_owned(),
            number: (self.form.action == Action::Delete).then(|| t.count("bulk-number", outcome.changes).into_owned()),
            interruption: interruption(t, &outcome.switches),
            outcome,
        };
        Ok(self.show(frame, stage, problem))
    }

    async fn run(&self) -> Result<HttpResponse, Failure> {
        let t = Frame::new(self.request, "").t;
        let Some(expected) = self.form.expected() else {
            return self.preview(Some(t.get("bulk-number-missing").into_owned())).await;
        };
        let done = match self.form.action {
            Action::Restart => self.restart(expected).await,
            _ => self.change(expected).await,
        };
        match done {
            Err(OperateError::OtherCount { now, .. }) => {
                let problem = t.count(self.form.action.other_count(), now).into_owned();
                self.preview(Some(problem)).await
            }
            done => Ok(done?),
        }
    }

    async fn change(&self, expected: usize) -> Result<HttpResponse, OperateError> {
        let frame = Frame::new(self.request, "gateways");
        let Some(change) = self.form.action.change(&self.form.tags) else {
            return Ok(see_other("/gateways").finish());
        };
        let options = BulkOptions {
            expected: Some(expected),
            ..BulkOptions::default()
        };
        let answer = self
            .service
            .change_gateways(self.caller, &self.form.chosen, &change, options);
        let (answer, problem) = match answer.await {
            Ok(answer) => (answer, None),
            Err(error) => {
                let problem = error.text(frame.t.0);
                match error {
                    OperateError::BulkStopped { done, .. } => (*done, Some(problem)),
                    error => return Err(error),
                }
            }
        };
        let outcome = Outcome::of_change(frame.t, &answer);
        Ok(self.show(frame, Stage::Report(outcome), problem))
    }

    /// Then its progress is shown.
    async fn restart(&self, expected: usize) -> Result<HttpResponse, OperateError> {
        let options = RestartOptions {
            expected: Some(expected),
            ..RestartOptions::default()
        };
        let restart = self
            .service
            .restart_many(self.caller, &self.form.chosen, &options)
            .await?;
        Ok(match restart.id {
            Some(id) => see_other(format!("/gateways/restarts/{id}")).finish(),
            None => see_other("/gateways").finish(),
        })
    }

    fn show(&self, frame: Frame, stage: Stage, problem: Option<String>) -> HttpResponse {
        let page = BulkPage {
            title: frame.t.get(self.form.action.title()).into_owned(),
            hidden: self.form.hidden(),
            back: self.form.back(),
            tags: self.form.tags.join(", "),
            problem,
            stage,
            frame,
        };
        show(StatusCode::OK, &page)
    }
}
