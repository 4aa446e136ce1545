//! What was sent: checked, shown as a review, and written.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, post, web};

use super::conflict::{self, Theirs};
use super::entry::{Entry, Target, of_path, sent as read_sent};
use super::finding::FoundProblem;
use super::page::{Shown, findings_page, form_page};
use super::sent::{STEP, Sent};
use crate::gateway::{DomainName, GatewayName};
use crate::operate::gateways::{GatewayDetail, GatewayRef, Precondition, WriteOptions, Written};
use crate::operate::listing::Offers;
use crate::operate::{Caller, OperateError, Service};
use crate::portal::{caller, check_origin, remembered};
use crate::web::address::{gateway_url, see_other};
use crate::web::failure::{Failure, no_such_page};
use crate::web::gateway::review::{ReviewPage, Warning};
use crate::web::page::Frame;
use crate::web::texts::Texts;

/// The form of a new gateway.
///
/// It is outside of what needs a session, because a session that ended must not lose what was typed.
#[post("/gateways/new")]
pub(in crate::web) async fn submit_new(
    service: web::Data<Service>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    submit(&service, &request, Target::New, read_sent(&body)).await
}

/// The form of a gateway that there is.
#[post("/domains/{domain}/gateways/{name}/edit")]
pub(in crate::web) async fn submit_edit(
    service: web::Data<Service>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    match of_path(&request) {
        Some(of) => submit(&service, &request, Target::Edit(of), read_sent(&body)).await,
        None => no_such_page(request).await,
    }
}

/// The findings of a form that is being filled in, for `app.js`.
#[post("/gateways/check")]
pub(in crate::web) async fn check(service: web::Data<Service>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let caller = match caller(&request).await {
        Ok((caller, _)) => caller,
        Err(problem) => return Failure::from(problem).response(&request),
    };
    let sent = read_sent(&body);
    let target = match (sent.value("of_domain"), sent.value("of_name").map(GatewayName::parse)) {
        (Some(domain), Some(Ok(name))) => Target::Edit(GatewayRef {
            domain: DomainName::from_text(domain),
            name,
        }),
        _ => Target::New,
    };
    let t = Texts::of(&request);
    let found = async {
        let entry = Entry::of_sent(&service, &caller, target, sent).await?;
        let problems = check_entry(&service, &caller, &entry, t).await?;
        Ok::<_, OperateError>((entry, problems))
    };
    match found.await {
        Ok((entry, problems)) => findings_page(&request, &entry, problems),
        Err(error) => Failure::from(error).response(&request),
    }
}

/// What a dry run finds, also while the names are not there yet.
async fn check_entry(
    service: &Service,
    caller: &Caller,
    entry: &Entry,
    t: Texts,
) -> Result<Vec<FoundProblem>, OperateError> {
    let (of, mut problems, has_names) = match entry.names(t) {
        Ok(of) => (Some(of), Vec::new(), true),
        Err(problems) => (stand_in(entry), problems, false),
    };
    let Some(of) = of else { return Ok(problems) };
    let Some(body) = entry.body() else { return Ok(problems) };
    let written = service
        .write_gateway(caller, &of, &body, &dry_run(Precondition::None))
        .await?;
    problems.extend(found(t, &written));
    if has_names && matches!(entry.target, Target::New) && !written.is_new {
        problems.push(FoundProblem::error(
            "name",
            t.get("name-taken"),
            t.get("name-taken-fix"),
        ));
    }
    Ok(problems)
}

/// A gateway of this domain whose name doesn't matter.
fn stand_in(entry: &Entry) -> Option<GatewayRef> {
    let domain = entry.sent.as_ref()?.text("domain");
    let domain = if domain.is_empty() { "default" } else { domain };
    Some(GatewayRef {
        domain: DomainName::from(domain),
        name: GatewayName::parse("new-gateway-without-a-name").ok()?,
    })
}

fn dry_run(precondition: Precondition) -> WriteOptions {
    WriteOptions {
        precondition,
        dry_run: true,
        // All findings, and no refusal at the first.
        force: true,
        ..WriteOptions::default()
    }
}

fn found(t: Texts, written: &Written) -> Vec<FoundProblem> {
    let findings = written.gateway.iter().flat_map(|gateway| &gateway.findings);
    findings.map(|finding| FoundProblem::of(t, finding)).collect()
}

async fn submit(service: &Service, request: &HttpRequest, target: Target, sent: Sent) -> HttpResponse {
    if let Err(problem) = check_origin(request) {
        return Failure::from(problem).response(request);
    }
    let t = Texts::of(request);
    let caller = match caller(request).await {
        Ok((caller, _)) => caller,
        Err(problem) => {
            let remembered = remembered(request);
            return interrupted(service, remembered.as_ref(), request, (target, sent), &problem.into()).await;
        }
    };
    request.extensions_mut().insert(caller.clone());
    let step = sent.text(STEP).to_owned();
    let again = (target.clone(), sent.clone());
    let entry = match Entry::of_sent(service, &caller, target, sent).await {
        Ok(entry) => entry,
        // Somebody deleted it meanwhile.
        Err(OperateError::NoSuchGateway { .. } | OperateError::NoSuchDomain(_)) => {
            let mut unread = Entry::unread(again.0.clone(), again.1.clone());
            return match unread.unseal(service, &caller).await {
                Ok(()) => conflict::page(service, &caller, request, &unread, Theirs::Gone).await,
                Err(error) => interrupted(service, Some(&caller), request, again, &error.into()).await,
            };
        }
        Err(error) if is_forbidden(&error) => return Failure::from(error).response(request),
        Err(error) => return interrupted(service, Some(&caller), request, again, &error.into()).await,
    };
    let offers = service.offers(&caller).await.unwrap_or_default();
    let form = Form {
        service,
        caller: &caller,
        request,
        entry: &entry,
        offers: &offers,
        t,
    };
    match step.as_str() {
        "save" => form.save().await,
        "form" => form.again(Shown::default(), StatusCode::OK).await,
        _ => form.review().await,
    }
}

fn is_forbidden(error: &OperateError) -> bool {
    matches!(error, OperateError::Forbidden(_))
}

/// The form again, with what was typed: the session is over, or Redis is away. Secrets are kept only for who
/// is, or a moment ago was, signed in.
async fn interrupted(
    service: &Service,
    caller: Option<&Caller>,
    request: &HttpRequest,
    (target, sent): (Target, Sent),
    failure: &Failure,
) -> HttpResponse {
    let t = Texts::of(request);
    let status = failure.status();
    let text = match status {
        StatusCode::UNAUTHORIZED => t.get("form-signed-out").into_owned(),
        _ => t.with("form-not-saved", failure.text(t.0)).into_owned(),
    };
    if let Some(caller) = caller
        && let Ok(entry) = Entry::of_sent(service, caller, target.clone(), sent.clone()).await
    {
        let shown = Shown {
            problem: Some(text),
            sealed: entry.sealed(service, caller).await,
            ..Shown::default()
        };
        let offers = service.offers(caller).await.unwrap_or_default();
        return form_page(request, &entry, &offers, shown, status);
    }
    let shown = Shown {
        problem: Some(text),
        note: Some(t.get("form-secrets-again").into_owned()),
        ..Shown::default()
    };
    form_page(request, &Entry::unread(target, sent), &Offers::default(), shown, status)
}

/// A form that somebody who is signed in sent.
struct Form<'a> {
    service: &'a Service,
    caller: &'a Caller,
    request: &'a HttpRequest,
    entry: &'a Entry,
    offers: &'a Offers,
    t: Texts,
}

impl Form<'_> {
    /// The form with what was typed.
    async fn again(&self, shown: Shown, status: StatusCode) -> HttpResponse {
        let sealed = self.entry.sealed(self.service, self.caller).await;
        let shown = Shown { sealed, ..shown };
        form_page(self.request, self.entry, self.offers, shown, status)
    }

    async fn with_problems(&self, problems: Vec<FoundProblem>) -> HttpResponse {
        let shown = Shown {
            problem: Some(self.t.get("form-has-errors").into_owned()),
            problems,
            ..Shown::default()
        };
        self.again(shown, StatusCode::UNPROCESSABLE_ENTITY).await
    }

    async fn failed(&self, error: OperateError) -> HttpResponse {
        match error {
            OperateError::Precondition { now } => self.conflict(now).await,
            OperateError::Refused(problems) => {
                let problems = problems.iter().map(|problem| FoundProblem::of(self.t, problem));
                self.with_problems(problems.collect()).await
            }
            error if is_forbidden(&error) => Failure::from(error).response(self.request),
            error => {
                let failure = Failure::from(error);
                let status = failure.status();
                let text = self.t.with("form-not-saved", failure.text(self.t.0)).into_owned();
                let shown = Shown {
                    problem: Some(text),
                    ..Shown::default()
                };
                self.again(shown, status).await
            }
        }
    }

    async fn conflict(&self, now: Option<Box<GatewayDetail>>) -> HttpResponse {
        match (&self.entry.target, now) {
            (Target::New, _) => {
                let taken = FoundProblem::error("name", self.t.get("name-taken"), self.t.get("name-taken-fix"));
                self.with_problems(vec![taken]).await
            }
            (Target::Edit(_), now) => {
                let theirs = now.map_or(Theirs::Gone, Theirs::Changed);
                conflict::page(self.service, self.caller, self.request, self.entry, theirs).await
            }
        }
    }

    /// What would happen.
    async fn review(&self) -> HttpResponse {
        let of = match self.entry.names(self.t) {
            Ok(of) => of,
            Err(names) => {
                let problems = check_entry(self.service, self.caller, self.entry, self.t).await;
                return match problems {
                    Ok(problems) => self.with_problems(problems).await,
                    Err(error) if is_forbidden(&error) => Failure::from(error).response(self.request),
                    Err(_) => self.with_problems(names).await,
                };
            }
        };
        let Some(body) = self.entry.body() else {
            return self.again(Shown::default(), StatusCode::OK).await;
        };
        let options = WriteOptions {
            looks_up_hosts: true,
            ..dry_run(self.entry.precondition())
        };
        let written = match self.service.write_gateway(self.caller, &of, &body, &options).await {
            Ok(written) => written,
            Err(error) => return self.failed(error).await,
        };
        let problems = found(self.t, &written);
        if problems.iter().any(|problem| problem.is_error) && !is_disabled(&written) {
            return self.with_problems(problems).await;
        }
        if written.changes.is_empty() && !written.is_new {
            let shown = Shown {
                note: Some(self.t.get("form-unchanged").into_owned()),
                problems,
                ..Shown::default()
            };
            return self.again(shown, StatusCode::OK).await;
        }
        self.review_page(&of, &written, problems).await
    }

    async fn review_page(&self, of: &GatewayRef, written: &Written, problems: Vec<FoundProblem>) -> HttpResponse {
        let sealed = self.entry.sealed(self.service, self.caller).await;
        let title = self.t.with("review-title", of.name.as_str()).into_owned();
        let frame = Frame::new(self.request, "gateways");
        let hidden = match &self.entry.sent {
            Some(sent) => sent.hidden(self.entry.etag.as_deref(), &sealed),
            None => Vec::new(),
        };
        let warning = |problem: FoundProblem| Warning {
            field: problem.field,
            reason: problem.reason,
            fix: problem.fix,
        };
        let page = ReviewPage {
            warnings: problems.into_iter().map(warning).collect(),
            action: self.entry.target.url(),
            hidden,
            has_form: true,
            back: self.entry.target.back(),
            ..ReviewPage::new(frame, title, self.t.get("save").into_owned(), written)
        };
        page.show(StatusCode::OK)
    }

    async fn save(&self) -> HttpResponse {
        let (of, body) = match (self.entry.names(self.t), self.entry.body()) {
            (Ok(of), Some(body)) => (of, body),
            _ => return self.review().await,
        };
        let options = WriteOptions {
            precondition: self.entry.precondition(),
            ..WriteOptions::default()
        };
        match self.service.write_gateway(self.caller, &of, &body, &options).await {
            Ok(_) => see_other(format!(
                "{}?done=saved",
                gateway_url(of.domain.text(), of.name.as_str())
            ))
            .finish(),
            Err(error) => self.failed(error).await,
        }
    }
}

/// A gateway that is taken out may have any value.
fn is_disabled(written: &Written) -> bool {
    use crate::operate::gateways::Validity;
    let validity = written.gateway.as_ref().map(|gateway| gateway.validity);
    validity == Some(Validity::Disabled)
}
