//! Importing gateways: a file is sent, the page shows what it would do, and exactly that is written.

mod report;
mod row;
mod sent;

use actix_multipart::Multipart;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use serde::Deserialize;

use super::address::{encoded, see_other, with_query};
use super::failure::{Failure, page as page_of};
use super::gateway::Rich;
use super::guard::drain;
use super::page::{Frame, show};
use crate::language::Bilingual;
use crate::operate::listing::Offers;
use crate::operate::upload::{Kind, MAX_UPLOAD_BYTES, Upload, UploadDraft, UploadOutcome, UploadPlace};
use crate::operate::{Caller, OperateError, Service};
use crate::portal::SignedIn;
use crate::shown::{shown, shown_line};
use report::{Outcome, Review};
use sent::{KINDS, Options};

#[derive(Template)]
#[template(path = "import.html")]
struct FormPage {
    frame: Frame,
    problem: Option<String>,
    options: Options,
    offers: Offers,
}

#[derive(Template)]
#[template(path = "import_review.html")]
struct ReviewPage {
    frame: Frame,
    /// Where the form goes.
    url: String,
    /// Of the file, or of the switch.
    name: String,
    review: Review,
    digest: String,
    overwrite: bool,
    /// The same with and without replacing what is stored.
    other_url: String,
    /// It was confirmed, and is another one by now.
    is_other: bool,
}

#[derive(Template)]
#[template(path = "import_result.html")]
struct ResultPage {
    frame: Frame,
    problem: Option<String>,
    outcome: Outcome,
    /// Where what was not written is shown.
    url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    overwrite: bool,
}

/// A button of the review.
#[derive(Deserialize)]
pub(super) struct Decision {
    step: Step,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Write,
    Discard,
}

/// An import from a switch.
#[derive(Deserialize)]
pub(super) struct FromSwitch {
    switch: String,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    overwrite: bool,
}

/// Somebody, and what he asks.
struct Visit<'a> {
    service: &'a Service,
    caller: &'a Caller,
    request: &'a HttpRequest,
}

/// The empty form.
#[get("/import")]
pub(super) async fn form(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
) -> HttpResponse {
    let visit = Visit::new(&service, &caller, &request);
    page_of(&request, visit.form(StatusCode::OK, Options::new(), None).await)
}

/// Takes a file.
#[post("/import")]
pub(super) async fn take(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let place = match service.upload_place(&caller).await {
        Ok(place) => place,
        Err(error) => {
            drain(body).await;
            return Failure::from(error).response(&request);
        }
    };
    let t = Frame::new(&request, "").t;
    let (options, upload) = sent::read(t, Multipart::new(request.headers(), body)).await;
    let visit = Visit::new(&service, &caller, &request);
    let answer = match upload {
        Ok(upload) => visit.keep(upload, options, place).await,
        Err(failure) => visit.refuse(failure, options).await,
    };
    page_of(&request, answer)
}

/// Takes what a switch has.
#[post("/import/switch")]
pub(super) async fn from_switch(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    sent: web::Form<FromSwitch>,
) -> HttpResponse {
    let sent = sent.into_inner();
    let options = Options {
        domain: sent.domain,
        profile: sent.profile,
        overwrite: sent.overwrite,
        ..Options::new()
    };
    let answer = async {
        let place = service.upload_place(&caller).await?;
        let upload = options.upload(Kind::Switch, sent.switch, Bytes::new());
        Visit::new(&service, &caller, &request)
            .keep(upload, options, place)
            .await
    };
    page_of(&request, answer.await)
}

/// What an import would do.
#[get("/import/{id}")]
pub(super) async fn review(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
    asked: web::Query<Asked>,
) -> HttpResponse {
    let visit = Visit::new(&service, &caller, &request);
    let answer = match service.draft_upload(&caller, &id, asked.overwrite).await {
        Ok(drafted) => Ok(visit.review(&id, drafted, asked.overwrite, false)),
        Err(error) => visit.gone(error).await,
    };
    page_of(&request, answer)
}

/// Writes what was shown, or forgets it.
#[post("/import/{id}")]
pub(super) async fn decide(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
    decision: web::Form<Decision>,
) -> HttpResponse {
    let visit = Visit::new(&service, &caller, &request);
    let answer = match decision.step {
        Step::Write => visit.write(&id, &decision).await,
        Step::Discard => visit.discard(&id).await,
    };
    page_of(&request, answer)
}

impl<'a> Visit<'a> {
    fn new(service: &'a Service, caller: &'a Caller, request: &'a HttpRequest) -> Self {
        Self {
            service,
            caller,
            request,
        }
    }

    async fn form(
        &self,
        status: StatusCode,
        options: Options,
        problem: Option<String>,
    ) -> Result<HttpResponse, Failure> {
        let page = FormPage {
            offers: self.service.import_offers(self.caller).await?,
            frame: Frame::new(self.request, "import"),
            problem,
            options,
        };
        Ok(show(status, &page))
    }

    /// The form again, with what is wrong.
    async fn refuse(&self, failure: Failure, options: Options) -> Result<HttpResponse, Failure> {
        if !failure.status().is_client_error() {
            return Err(failure);
        }
        let text = failure.text(Frame::new(self.request, "").t.0);
        let problem = shown_line(text).to_string();
        self.form(failure.status(), options, Some(problem)).await
    }

    async fn keep(&self, upload: Upload, options: Options, place: UploadPlace) -> Result<HttpResponse, Failure> {
        // Documents are the whole value in any case.
        let overwrite = options.overwrite && upload.kind != Kind::Documents;
        match self.service.keep_upload(self.caller, upload, place).await {
            Ok(id) => Ok(see_other(review_url(&id, overwrite)).finish()),
            Err(error) => self.refuse(error.into(), options).await,
        }
    }

    /// The form, if the upload is gone.
    async fn gone(&self, error: OperateError) -> Result<HttpResponse, Failure> {
        match error {
            OperateError::NoSuchUpload => self.refuse(error.into(), Options::new()).await,
            error => Err(error.into()),
        }
    }

    fn review(&self, id: &str, drafted: UploadDraft, overwrite: bool, is_other: bool) -> HttpResponse {
        let frame = Frame::new(self.request, "import");
        let page = ReviewPage {
            url: review_url(id, false),
            name: shown(&drafted.upload.name).to_string(),
            review: Review::new(frame.t, drafted.draft.into_answer()),
            digest: drafted.digest,
            overwrite,
            other_url: review_url(id, !overwrite),
            is_other,
            frame,
        };
        let status = match is_other {
            true => StatusCode::CONFLICT,
            false => StatusCode::OK,
        };
        show(status, &page)
    }

    async fn write(&self, id: &str, decision: &Decision) -> Result<HttpResponse, Failure> {
        let frame = Frame::new(self.request, "import");
        let written = self
            .service
            .write_upload(self.caller, id, decision.overwrite, &decision.digest)
            .await;
        let (report, problem) = match written {
            Ok(UploadOutcome::Written(answer)) => (answer.difference, None),
            Ok(UploadOutcome::OtherDifference(drafted)) => {
                return Ok(self.review(id, *drafted, decision.overwrite, true));
            }
            Err(error) => {
                let problem = error.text(frame.t.0);
                match error {
                    OperateError::TransferStopped { done, .. } => (*done, Some(problem)),
                    error => return self.gone(error).await,
                }
            }
        };
        let page = ResultPage {
            outcome: Outcome::new(frame.t, &report),
            url: review_url(id, decision.overwrite),
            problem,
            // There is nothing to look at twice.
            frame: Frame {
                path: "/import".to_owned(),
                ..frame
            },
        };
        Ok(show(StatusCode::OK, &page))
    }

    async fn discard(&self, id: &str) -> Result<HttpResponse, Failure> {
        self.service.drop_upload(self.caller, id).await?;
        Ok(see_other("/import").finish())
    }
}

fn review_url(id: &str, overwrite: bool) -> String {
    let overwrite = if overwrite { "true" } else { "" };
    with_query(&format!("/import/{}", encoded(id)), &[("overwrite", overwrite)])
}
