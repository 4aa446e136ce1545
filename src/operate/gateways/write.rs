//! Writes one gateway: checks it, compares with what was read, writes, and records who did it.

use std::time::Duration;

use super::super::service::Service;
use super::super::{Caller, OperateError, hosts};
use super::effect::Effect;
use super::model::{GatewayDetail, ProblemField};
use super::read::{stored, with_value};
use super::{Assignments, ETag, GatewayRef, Precondition};
use crate::desired::{Current, Edit, Edited};
use crate::gateway::{Document, GatewayName, Parsed, Severity, ValueChange, shared_account};
use crate::history::{EditKind, Entry, Event};

/// Writes without a condition that lose against another writer are tried this often.
pub(super) const ATTEMPTS: usize = 8;

/// What to write.
#[derive(Clone)]
pub enum Body {
    /// The whole value. Secrets that it doesn't mention stay.
    Replace(Document),
    /// A JSON Merge Patch (RFC 7396) of the value.
    Merge(Document),
    /// These values in the one that is there, or in a new one.
    Assign(Box<Assignments>),
}

#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    pub precondition: Precondition,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Write it even if FreeSWITCH would refuse it.
    pub force: bool,
    /// Wait this long for the effect on the switches.
    pub wait: Option<Duration>,
    /// With `dry_run`: ask DNS for its hosts, unless the settings say otherwise.
    pub looks_up_hosts: bool,
}

/// A write that took place, or would.
#[derive(Debug, Default)]
pub struct Written {
    /// The gateway as it is now, or would be. `None` if it was deleted.
    pub gateway: Option<GatewayDetail>,
    /// There was none before.
    pub is_new: bool,
    pub changes: Vec<ValueChange>,
    /// Its entry in the history. `None` if nothing changed.
    pub history: Option<String>,
    /// What each switch does about it. Empty if nobody waited for that.
    pub effect: Vec<Effect>,
}

/// A change that is ready to be written.
pub(super) struct Draft {
    pub(super) before: Option<Vec<u8>>,
    pub(super) after: Option<Vec<u8>>,
    pub(super) parsed: Option<Parsed>,
    pub(super) changes: Vec<ValueChange>,
    /// The entry of the history that it undoes.
    pub(super) reverts: Option<String>,
}

impl Service {
    /// Creates, replaces or patches a gateway.
    ///
    /// # Errors
    /// The caller may not edit the domain; [`OperateError::Precondition`] if another value stands there;
    /// [`OperateError::Refused`] if FreeSWITCH would refuse it; Redis can't be written.
    pub async fn write_gateway(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        body: &Body,
        options: &WriteOptions,
    ) -> Result<Written, OperateError> {
        let kind = |draft: &Draft| match draft.before {
            Some(_) => EditKind::Change,
            None => EditKind::Create,
        };
        let draft = |current: &Current| {
            let before = stored(current, of);
            let known = before.and_then(|value| Document::parse(value).ok());
            let after = match body {
                Body::Replace(value) => {
                    let mut value = value.clone();
                    value.keep_secrets(&known.clone().unwrap_or_else(Document::empty));
                    value
                }
                Body::Merge(patch) => {
                    before.ok_or_else(|| Self::missing(current, of))?;
                    let mut value = editable(of, before, known.as_ref())?;
                    value.merge(patch);
                    value
                }
                Body::Assign(assignments) => {
                    let mut value = editable(of, before, known.as_ref())?;
                    assignments.apply(&mut value);
                    value
                }
            };
            self.draft(of, before, known.as_ref(), Some(&after), options)
        };
        self.write(caller, of, options, draft, kind).await
    }

    /// Deletes a gateway.
    ///
    /// # Errors
    /// As [`Service::write_gateway`].
    pub async fn delete_gateway(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        options: &WriteOptions,
    ) -> Result<Written, OperateError> {
        let draft = |current: &Current| {
            let before = stored(current, of).ok_or_else(|| Self::missing(current, of))?;
            let known = Document::parse(before).ok();
            self.draft(of, Some(before), known.as_ref(), None, options)
        };
        self.write(caller, of, options, draft, |_| EditKind::Delete).await
    }

    /// Copies a gateway, with its secrets, to a new name in its domain. The copy is disabled.
    ///
    /// # Errors
    /// As [`Service::write_gateway`]; [`OperateError::NameTaken`].
    pub async fn copy_gateway(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        to: &GatewayName,
        options: &WriteOptions,
    ) -> Result<Written, OperateError> {
        let copy = GatewayRef {
            domain: of.domain.clone(),
            name: to.clone(),
        };
        let draft = |current: &Current| {
            let original = stored(current, of).ok_or_else(|| Self::missing(current, of))?;
            if stored(current, &copy).is_some() {
                return Err(OperateError::NameTaken(to.to_string()));
            }
            let mut value = Document::parse(original).map_err(|_| OperateError::NotAnObject(of.name.to_string()))?;
            value.set("enabled", &false.into());
            self.draft(&copy, None, None, Some(&value), options)
        };
        let guarded = Some(of);
        self.write_if(caller, &copy, guarded, options, draft, |_| EditKind::Copy)
            .await
    }

    /// Writes what `draft` makes of the current state. If another writer was faster, it is made again,
    /// unless the write has a condition on the version.
    pub(super) async fn write(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        options: &WriteOptions,
        draft: impl Fn(&Current) -> Result<Draft, OperateError>,
        kind: impl Fn(&Draft) -> EditKind,
    ) -> Result<Written, OperateError> {
        self.write_if(caller, of, None, options, draft, kind).await
    }

    /// The same; the condition is about the version of `guarded`, if that is another gateway.
    async fn write_if(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        guarded: Option<&GatewayRef>,
        options: &WriteOptions,
        draft: impl Fn(&Current) -> Result<Draft, OperateError>,
        kind: impl Fn(&Draft) -> EditKind,
    ) -> Result<Written, OperateError> {
        caller.may_edit(of.domain.text())?;
        // Mostly what is known is what is there, and nothing must be read first. If not, nothing is
        // written, and any other answer is made of what is read.
        if !options.dry_run
            && let Some(known) = self.catalog.glance().await
            && options
                .precondition
                .holds(stored(&known, guarded.unwrap_or(of)), &known.key)
            && let Ok(draft) = draft(&known)
            && draft.before.is_some()
            && draft.before != draft.after
            && let Some(id) = self.edit(caller, of, &draft, kind(&draft)).await?
        {
            return self.written(caller, &known, of, draft, options, id).await;
        }
        for _ in 0..ATTEMPTS {
            let current = self.writable().await?;
            self.check_precondition(caller, &current, guarded.unwrap_or(of), options)
                .await?;
            let draft = draft(&current)?;
            if options.dry_run || draft.before == draft.after {
                return self.would_be(caller, &current, of, draft, options).await;
            }
            if let Some(id) = self.edit(caller, of, &draft, kind(&draft)).await? {
                return self.written(caller, &current, of, draft, options, id).await;
            }
        }
        Err(OperateError::Contended(of.name.to_string()))
    }

    /// Writes a draft and records it. The id of its entry; `None` if another value stands there.
    async fn edit(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        draft: &Draft,
        kind: EditKind,
    ) -> Result<Option<String>, OperateError> {
        let mut entry = entry(caller, of, kind, draft.changes.clone());
        if let Event::Edit { reverts, .. } = &mut entry.event {
            reverts.clone_from(&draft.reverts);
        }
        let edit = Edit {
            gateway: of.name.clone(),
            before: draft.before.clone(),
            after: draft.after.clone(),
            entry,
        };
        let edited = self.history.edit(&of.domain, &[edit]).await;
        match edited.map_err(OperateError::writing(&self.settings))? {
            Edited::Done(ids) => Ok(Some(ids.into_iter().next().unwrap_or_default())),
            Edited::Conflict => Ok(None),
            Edited::WrongType(kind) => {
                let domain = of.domain.to_string();
                Err(OperateError::WrongType { domain, kind })
            }
        }
    }

    /// The state that a write is made from. It must be Redis's, and not the last good one.
    pub(in crate::operate) async fn writable(&self) -> Result<Current, OperateError> {
        let current = self
            .catalog
            .all()
            .await
            .map_err(OperateError::unavailable(&self.settings))?;
        match &current.stale {
            Some((_, error)) => Err(OperateError::unreadable(&self.settings, error)),
            None => Ok(current),
        }
    }

    pub(super) async fn check_precondition(
        &self,
        caller: &Caller,
        current: &Current,
        of: &GatewayRef,
        options: &WriteOptions,
    ) -> Result<(), OperateError> {
        let value = stored(current, of);
        if options.precondition.holds(value, &current.key) {
            return Ok(());
        }
        let now = match value {
            Some(value) => Some(Box::new(self.detail(caller, current, of, value).await?)),
            None => None,
        };
        Err(OperateError::Precondition { now })
    }

    /// Checks a value. Without `after`, the gateway is deleted.
    pub(super) fn draft(
        &self,
        of: &GatewayRef,
        before: Option<&[u8]>,
        known: Option<&Document>,
        after: Option<&Document>,
        options: &WriteOptions,
    ) -> Result<Draft, OperateError> {
        let value = after.map(|after| after.to_json().into_bytes());
        let parsed = value.as_ref().map(|value| {
            let name = of.name.as_str().as_bytes();
            crate::gateway::parse(of.domain.text(), name, value, &self.catalog.rules())
        });
        if let Some(parsed) = parsed
            .as_ref()
            .filter(|parsed| parsed.gateway.is_none() && !options.force)
        {
            let is_error = |problem: &ProblemField| problem.severity == Severity::Error;
            let problems = parsed.findings.iter().map(ProblemField::of);
            return Err(OperateError::Refused(problems.filter(is_error).collect()));
        }
        Ok(Draft {
            before: before.map(<[u8]>::to_vec),
            changes: Document::changes(known, after),
            after: value,
            parsed,
            reverts: None,
        })
    }

    /// What a write would do, or one that changes nothing.
    pub(super) async fn would_be(
        &self,
        caller: &Caller,
        current: &Current,
        of: &GatewayRef,
        draft: Draft,
        options: &WriteOptions,
    ) -> Result<Written, OperateError> {
        let mut gateway = match &draft.after {
            Some(value) => Some(self.detail(caller, current, of, value).await?),
            None => None,
        };
        let gateway_after = draft.parsed.as_ref().and_then(|parsed| parsed.gateway.as_ref());
        if let (Some(detail), Some(after), true) = (&mut gateway, gateway_after, options.dry_run) {
            let others = current.desired.served().values().map(|entry| &entry.gateway);
            let shared = shared_account(after, others);
            let mut found: Vec<_> = shared.into_iter().collect();
            if options.looks_up_hosts && self.settings.api.look_up_hosts {
                let resolved = hosts::resolve(std::iter::once(after), hosts::FORM_LIMIT).await;
                found.extend(resolved.findings);
            }
            detail.findings.extend(found.iter().map(ProblemField::of));
        }
        let effect = match options.dry_run {
            true => {
                self.predict(caller, current, of, gateway_after, draft.after.is_none())
                    .await?
            }
            false => Vec::new(),
        };
        Ok(Written {
            gateway,
            is_new: draft.before.is_none(),
            changes: draft.changes,
            history: None,
            effect,
        })
    }

    /// The answer to a write that was made from `before`.
    pub(super) async fn written(
        &self,
        caller: &Caller,
        before: &Current,
        of: &GatewayRef,
        draft: Draft,
        options: &WriteOptions,
        history: String,
    ) -> Result<Written, OperateError> {
        let effect = match options.wait {
            Some(limit) => self.wait_for_effect(caller, of, limit).await?,
            None => Vec::new(),
        };
        let value = draft.after.as_deref();
        let known = value.and_then(|value| with_value(before, of, value, &self.catalog.rules()));
        let current = match known {
            Some(current) => current,
            None => self
                .catalog
                .all()
                .await
                .map_err(OperateError::unavailable(&self.settings))?,
        };
        let gateway = match stored(&current, of) {
            Some(value) => {
                let mut gateway = self.detail(caller, &current, of, value).await?;
                // Of what was written, also if somebody wrote again meanwhile.
                gateway.etag = draft.after.as_deref().map(|value| ETag::of(&current.key, value));
                Some(gateway)
            }
            None => None,
        };
        Ok(Written {
            gateway,
            is_new: draft.before.is_none(),
            changes: draft.changes,
            history: Some(history),
            effect,
        })
    }
}

/// The value to edit; an empty one if there is none yet.
fn editable(of: &GatewayRef, before: Option<&[u8]>, known: Option<&Document>) -> Result<Document, OperateError> {
    match (before, known) {
        (None, _) => Ok(Document::empty()),
        (Some(_), None) => Err(OperateError::NotAnObject(of.name.to_string())),
        (Some(_), Some(known)) => Ok(known.clone()),
    }
}

pub(in crate::operate) fn entry(caller: &Caller, of: &GatewayRef, edit: EditKind, changes: Vec<ValueChange>) -> Entry {
    let event = Event::Edit {
        edit,
        changes,
        reverts: None,
        other_name: None,
    };
    Entry {
        domain: Some(of.domain.to_string()),
        gateway: Some(of.name.to_string()),
        ..Entry::now(&caller.identity, event)
    }
}
