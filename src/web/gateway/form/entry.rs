//! A form that is filled in: which gateway it is for, what is stored, and what was typed.

use actix_web::HttpRequest;
use secrecy::SecretString;
use serde_json::Value;

use super::finding::FoundProblem;
use super::patch::patch;
use super::preset::Preset;
use super::sent::{ETAG, SecretEdit, Sent};
use super::stored::Stored;
use crate::gateway::params::PARAMS;
use crate::gateway::{Document, DomainName, GatewayName, MAX_DOMAIN_BYTES};
use crate::language::Bilingual;
use crate::operate::gateways::{Body, ETag, GatewayRef, Precondition};
use crate::operate::{Caller, OperateError, Service};
use crate::web::address::gateway_url;
use crate::web::texts::Texts;

/// Which gateway a form is for.
#[derive(Clone)]
pub(super) enum Target {
    New,
    Edit(GatewayRef),
}

/// The form with everything that it needs.
pub(super) struct Entry {
    pub(super) target: Target,
    pub(super) preset: Preset,
    pub(super) stored: Stored,
    /// Whether the stored value is an object, so that it can be patched.
    pub(super) is_object: bool,
    /// The version that the form was filled in from.
    pub(super) etag: Option<String>,
    pub(super) sent: Option<Sent>,
    pub(super) secrets: Vec<(&'static str, SecretEdit)>,
}

/// The params that are secrets.
pub(super) fn secret_params() -> impl Iterator<Item = &'static str> {
    PARAMS.iter().filter(|param| param.secret).map(|param| param.name)
}

pub(super) fn is_secret(param: &str) -> bool {
    secret_params().any(|secret| secret == param)
}

impl Target {
    /// Where its form goes.
    pub(super) fn url(&self) -> String {
        match self {
            Self::New => "/gateways/new".to_owned(),
            Self::Edit(of) => format!("{}/edit", gateway_url(of.domain.text(), of.name.as_str())),
        }
    }

    /// The page behind it.
    pub(super) fn back(&self) -> String {
        match self {
            Self::New => "/gateways".to_owned(),
            Self::Edit(of) => gateway_url(of.domain.text(), of.name.as_str()),
        }
    }
}

impl Entry {
    /// An empty form.
    pub(super) fn new(preset: Preset) -> Self {
        Self {
            target: Target::New,
            preset,
            stored: Stored::empty(),
            is_object: true,
            etag: None,
            sent: None,
            secrets: Vec::new(),
        }
    }

    /// The form of a stored gateway.
    pub(super) async fn read(service: &Service, caller: &Caller, of: GatewayRef) -> Result<Self, OperateError> {
        let detail = service.gateway(caller, &of).await?;
        let stored = Stored::of(&detail);
        let is_object = stored.is_some();
        let stored = stored.unwrap_or_else(Stored::empty);
        Ok(Self {
            target: Target::Edit(of),
            preset: Preset::of(&stored),
            stored,
            is_object,
            etag: detail.etag.map(|etag| etag.as_str().to_owned()),
            sent: None,
            secrets: Vec::new(),
        })
    }

    /// What was sent, without a look at Redis.
    pub(super) fn unread(target: Target, sent: Sent) -> Self {
        let preset = Preset::parse(sent.text("preset")).unwrap_or(Preset::Account);
        Self {
            target,
            etag: sent.value(ETAG).map(str::to_owned),
            sent: Some(sent),
            ..Self::new(preset)
        }
    }

    /// What was sent, with the stored gateway behind it.
    pub(super) async fn of_sent(
        service: &Service,
        caller: &Caller,
        target: Target,
        sent: Sent,
    ) -> Result<Self, OperateError> {
        let mut entry = Self::unread(target, sent);
        entry.unseal(service, caller).await?;
        let Target::Edit(of) = &entry.target else {
            return Ok(entry);
        };
        let read = Self::read(service, caller, of.clone()).await?;
        Ok(Self {
            stored: read.stored,
            is_object: read.is_object,
            ..entry
        })
    }

    /// Reads the secrets that were typed, now or on an earlier page.
    pub(super) async fn unseal(&mut self, service: &Service, caller: &Caller) -> Result<(), OperateError> {
        let Some(sent) = &self.sent else { return Ok(()) };
        for name in secret_params() {
            let edit = match sent.secret(name) {
                Ok(edit) => edit,
                Err(sealed) => match service.unseal(caller, sealed).await? {
                    Some(secret) => SecretEdit::Replace(secret),
                    None => SecretEdit::Keep,
                },
            };
            self.secrets.push((name, edit));
        }
        Ok(())
    }

    /// The secrets that were typed.
    pub(super) fn typed_secrets(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        self.secrets.iter().filter_map(|(name, edit)| match edit {
            SecretEdit::Replace(secret) => Some((*name, secret)),
            SecretEdit::Keep | SecretEdit::Remove => None,
        })
    }

    /// Encrypts what was typed, for the next page. What can't be encrypted must be typed again.
    pub(super) async fn sealed(&self, service: &Service, caller: &Caller) -> Vec<(&'static str, String)> {
        let mut sealed = Vec::new();
        for (name, secret) in self.typed_secrets() {
            if let Ok(Some(text)) = service.seal(caller, secret).await {
                sealed.push((name, text));
            }
        }
        sealed
    }

    /// The gateway that the form names, or what is wrong with the names.
    pub(super) fn names(&self, t: Texts) -> Result<GatewayRef, Vec<FoundProblem>> {
        let of = match (&self.target, &self.sent) {
            (Target::Edit(of), _) => return Ok(of.clone()),
            (Target::New, None) => return Err(Vec::new()),
            (Target::New, Some(sent)) => (sent.text("domain"), sent.text("name")),
        };
        let mut problems = Vec::new();
        let (domain, name) = of;
        if domain.is_empty() || domain.len() > MAX_DOMAIN_BYTES || domain.chars().any(char::is_control) {
            problems.push(FoundProblem::error(
                "domain",
                t.get("domain-bad"),
                t.get("domain-bad-fix"),
            ));
        }
        match GatewayName::parse(name) {
            Ok(name) if problems.is_empty() => {
                return Ok(GatewayRef {
                    domain: DomainName::from(domain),
                    name,
                });
            }
            Ok(_) => {}
            Err(_) if name.is_empty() => {
                problems.push(FoundProblem::error(
                    "name",
                    t.get("name-missing"),
                    t.get("name-missing-fix"),
                ));
            }
            Err(error) => problems.push(FoundProblem::error(
                "name",
                error.text(t.0),
                error.fix().in_language(t.0),
            )),
        }
        Err(problems)
    }

    /// What to write.
    pub(super) fn body(&self) -> Option<Body> {
        let patch = self.patch()?;
        let document = Document::parse(patch.to_string().as_bytes()).ok()?;
        Some(match (&self.target, self.is_object) {
            (Target::Edit(_), true) => Body::Merge(document),
            _ => Body::Replace(document),
        })
    }

    fn patch(&self) -> Option<Value> {
        Some(patch(&self.stored, self.sent.as_ref()?, &self.secrets))
    }

    /// A new gateway replaces none, and an edit only the version that the person saw.
    pub(super) fn precondition(&self) -> Precondition {
        match (&self.target, &self.etag) {
            (Target::New, _) => Precondition::Absent,
            (Target::Edit(_), Some(etag)) => Precondition::Version(vec![ETag::new(etag)]),
            (Target::Edit(_), None) => Precondition::Exists,
        }
    }
}

/// What a form sent.
pub(super) fn sent(body: &[u8]) -> Sent {
    Sent::parse(body, is_secret)
}

/// The gateway in the address.
pub(in crate::web::gateway) fn of_path(request: &HttpRequest) -> Option<GatewayRef> {
    let part = |name: &str| {
        let raw = request.match_info().get(name)?;
        percent_encoding::percent_decode_str(raw)
            .decode_utf8()
            .ok()
            .map(|text| text.into_owned())
    };
    Some(GatewayRef {
        domain: DomainName::from_text(&part("domain")?),
        name: GatewayName::parse(&part("name")?).ok()?,
    })
}
