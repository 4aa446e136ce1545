//! What one can do with a gateway besides editing it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, post, web};

use super::changes::change_rows;
use super::form::{Sent, of_path};
use super::review::ReviewPage;
use super::show::{Said, failed};
use crate::control::JobAction;
use crate::gateway::{Document, GatewayName};
use crate::language::{Bilingual, message};
use crate::operate::gateways::{Body, ETag, GatewayRef, JobRequest, Precondition, WriteOptions, Written};
use crate::operate::{Caller, OperateError, Service};
use crate::portal::{Problem, SignedIn};
use crate::web::address::{gateway_url, see_other};
use crate::web::failure::{Failure, no_such_page};
use crate::web::page::Frame;
use crate::web::texts::Texts;

/// What is asked for, as in the address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Something that switches do, without an edit.
    Job(JobAction),
    /// An edit that the carrier refused is tried again.
    TryAgain,
    /// To another switch.
    Move,
    Copy,
    /// The rest is shown first, and done when that is sent on.
    Rename,
    Enable,
    Disable,
    Delete,
    Undo,
}

/// An action of somebody at a gateway's page.
struct Acting<'a> {
    service: &'a Service,
    caller: &'a Caller,
    request: &'a HttpRequest,
    of: GatewayRef,
    sent: Sent,
}

/// Does one of the actions.
#[post("/domains/{domain}/gateways/{name}/{action}")]
pub(in crate::web) async fn act(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let action = request.match_info().get("action").and_then(Action::parse);
    let (Some(of), Some(action)) = (of_path(&request), action) else {
        return no_such_page(request).await;
    };
    let acting = Acting {
        service: &service,
        caller: &caller,
        request: &request,
        of,
        sent: Sent::parse(&body, |_| false),
    };
    match acting.run(action).await {
        Ok(response) => response,
        Err(failure) => failed(&service, &caller, &request, &acting.of, failure, acting.typed(action)).await,
    }
}

impl Action {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "restart" => Self::Job(JobAction::Restart),
            "register" => Self::Job(JobAction::Register),
            "unregister" => Self::Job(JobAction::Unregister),
            "park" => Self::Job(JobAction::Park),
            "unpark" => Self::Job(JobAction::Unpark),
            "again" => Self::TryAgain,
            "move" => Self::Move,
            "copy" => Self::Copy,
            "rename" => Self::Rename,
            "enable" => Self::Enable,
            "disable" => Self::Disable,
            "delete" => Self::Delete,
            "undo" => Self::Undo,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Job(job) => job.as_str(),
            Self::TryAgain => "again",
            Self::Move => "move",
            Self::Copy => "copy",
            Self::Rename => "rename",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Undo => "undo",
        }
    }

    /// The id of the button's text.
    fn button(self) -> &'static str {
        match self {
            Self::Job(JobAction::Restart) => "action-restart",
            Self::Job(JobAction::Register) => "action-register",
            Self::Job(JobAction::Unregister) => "action-unregister",
            Self::Job(JobAction::Park) => "action-park",
            Self::Job(JobAction::Unpark) => "action-unpark",
            Self::TryAgain => "action-again",
            Self::Move => "action-move",
            Self::Undo => "action-undo",
            Self::Copy => "action-copy",
            Self::Rename => "action-rename",
            Self::Enable => "action-enable",
            Self::Disable => "action-disable",
            Self::Delete => "action-delete",
        }
    }
}

impl Acting<'_> {
    /// What the page shows again after a failure.
    fn typed(&self, action: Action) -> Said {
        let typed = Some(self.sent.text("name").to_owned());
        match action {
            Action::Copy => Said {
                copy_name: typed,
                ..Said::default()
            },
            Action::Rename => Said {
                new_name: typed,
                ..Said::default()
            },
            _ => Said::default(),
        }
    }

    async fn run(&self, action: Action) -> Result<HttpResponse, Failure> {
        match action {
            Action::Job(JobAction::Restart) if !self.is_sure() => self.ask_to_restart().await,
            Action::Job(job) => {
                let request = JobRequest {
                    action: job,
                    switch: None,
                    wait: None,
                };
                self.service.run_job(self.caller, &self.of, &request).await?;
                Ok(self.done(&self.of, action))
            }
            Action::TryAgain => {
                self.service.try_edit_again(self.caller, &self.of).await?;
                Ok(self.done(&self.of, action))
            }
            Action::Move => {
                let to = self.sent.text("to");
                self.service.move_gateway(self.caller, &self.of, to, None).await?;
                Ok(self.done(&self.of, action))
            }
            Action::Copy => {
                let to = self.new_name()?;
                let options = WriteOptions::default();
                self.service.copy_gateway(self.caller, &self.of, &to, &options).await?;
                Ok(self.done(&self.named(to), action))
            }
            Action::Rename => {
                self.new_name()?;
                self.ask_or_do(action).await
            }
            action => self.ask_or_do(action).await,
        }
    }

    /// Whether what would happen was shown, and sent on.
    fn is_sure(&self) -> bool {
        self.sent.text("step") == "save"
    }

    /// New calls over it fail for seconds.
    async fn ask_to_restart(&self) -> Result<HttpResponse, Failure> {
        let effect = self.service.predict_restart(self.caller, &self.of).await?;
        let nothing_written = Written {
            effect,
            ..Written::default()
        };
        Ok(self.ask(Action::Job(JobAction::Restart), &nothing_written, None, None))
    }

    /// First what would happen; once that was sent on, it happens.
    async fn ask_or_do(&self, action: Action) -> Result<HttpResponse, Failure> {
        let is_sure = self.is_sure();
        let is_named = action != Action::Delete || self.sent.text("typed") == self.of.name.as_str();
        if is_sure && is_named {
            return match self.write(action, false).await {
                Ok(_) if action == Action::Delete => Ok(see_other("/gateways").finish()),
                Ok(_) if action == Action::Rename => Ok(self.done(&self.named(self.new_name()?), action)),
                Ok(_) => Ok(self.done(&self.of, action)),
                Err(error) => self.cannot(action, error),
            };
        }
        let problem = is_sure.then(|| self.t().with("delete-wrong-name", self.of.name.as_str()).into_owned());
        let now = self.service.gateway(self.caller, &self.of).await;
        let etag = match (now, action) {
            (Ok(now), _) => now.etag.map(|etag| etag.as_str().to_owned()),
            // What was deleted can be brought back.
            (Err(OperateError::NoSuchGateway { .. } | OperateError::NoSuchDomain(_)), Action::Undo) => None,
            (Err(error), _) => return Err(error.into()),
        };
        match self.write(action, true).await {
            Ok(written) => Ok(self.ask(action, &written, etag, problem)),
            Err(error) => self.cannot(action, error),
        }
    }

    async fn write(&self, action: Action, dry_run: bool) -> Result<Written, OperateError> {
        let version = self.sent.text("etag");
        let options = WriteOptions {
            precondition: match version.is_empty() || action == Action::Undo {
                true => Precondition::None,
                false => Precondition::Version(vec![ETag::new(version)]),
            },
            dry_run,
            force: self.sent.text("force") == "1",
            ..WriteOptions::default()
        };
        let (service, caller, of) = (self.service, self.caller, &self.of);
        match action {
            Action::Delete => service.delete_gateway(caller, of, &options).await,
            Action::Undo => service.revert(caller, self.sent.text("id"), &options).await,
            Action::Rename => {
                // `run` has looked at the name.
                let to = self.new_name().map_err(|_| OperateError::Interrupted)?;
                service.rename_gateway(caller, of, &to, &options).await
            }
            Action::Enable | Action::Disable | Action::Copy | Action::Move | Action::TryAgain | Action::Job(_) => {
                let mut patch = Document::empty();
                patch.set("enabled", &(action == Action::Enable).into());
                service.write_gateway(caller, of, &Body::Merge(patch), &options).await
            }
        }
    }

    fn ask(&self, action: Action, written: &Written, etag: Option<String>, problem: Option<String>) -> HttpResponse {
        let frame = Frame::new(self.request, "gateways");
        let t = frame.t;
        let title = format!("{}: {}", t.get(action.button()), self.of.name);
        let mut page = ReviewPage::new(frame, title, t.get(action.button()).into_owned(), written);
        if action == Action::Delete {
            // What it was is in the history.
            page.changes.clear();
            page.typed_name = Some(self.of.name.to_string());
        }
        self.fill(&mut page, action, etag);
        let status = match problem {
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            None => StatusCode::OK,
        };
        page.problem = problem;
        page.show(status)
    }

    fn fill(&self, page: &mut ReviewPage, action: Action, etag: Option<String>) {
        page.is_dangerous = action == Action::Delete;
        page.action = format!("{}/{}", self.url(&self.of), action.word());
        page.back = self.url(&self.of);
        for name in ["name", "id"] {
            let value = self.sent.text(name);
            if !value.is_empty() {
                page.hidden.push((name.to_owned(), value.to_owned()));
            }
        }
        page.hidden.extend(etag.map(|etag| ("etag".to_owned(), etag)));
    }

    /// An edit that was edited since can be undone all the same, once both differences were seen.
    fn cannot(&self, action: Action, error: OperateError) -> Result<HttpResponse, Failure> {
        let text = error.text(self.t().0);
        let OperateError::EditedSince { since, revert } = error else {
            return Err(error.into());
        };
        let frame = Frame::new(self.request, "gateways");
        let t = frame.t;
        let written = Written {
            changes: revert,
            ..Written::default()
        };
        let title = format!("{}: {}", t.get(action.button()), self.of.name);
        let mut page = ReviewPage::new(frame, title, t.get("undo-anyway").into_owned(), &written);
        page.problem = Some(text);
        page.since = change_rows(&since);
        self.fill(&mut page, action, None);
        page.hidden.push(("force".to_owned(), "1".to_owned()));
        Ok(page.show(StatusCode::CONFLICT))
    }

    fn new_name(&self) -> Result<GatewayName, Failure> {
        let name = GatewayName::parse(self.sent.text("name"));
        name.map_err(|error| {
            let text = message!(
                "{name}. {fix}",
                "{name}。{fix}",
                name = error.message(),
                fix = error.fix()
            );
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", text).into()
        })
    }

    fn named(&self, name: GatewayName) -> GatewayRef {
        GatewayRef {
            domain: self.of.domain.clone(),
            name,
        }
    }

    fn t(&self) -> Texts {
        Frame::new(self.request, "gateways").t
    }

    fn url(&self, of: &GatewayRef) -> String {
        gateway_url(of.domain.text(), of.name.as_str())
    }

    fn done(&self, of: &GatewayRef, action: Action) -> HttpResponse {
        see_other(format!("{}?done={}", self.url(of), action.word())).finish()
    }
}
