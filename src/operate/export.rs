//! Gateways as documents.

use std::collections::BTreeSet;

use tokio::task::spawn_blocking;

use super::listing::ListQuery;
use super::service::Service;
use super::{Caller, OperateError};
use crate::access::Role;
use crate::all_cores::on_all_cores;
use crate::desired::Current;
use crate::documents::{self, Format, Secrets};
use crate::gateway::{DomainName, RawDomain};
use crate::history::{Entry, Event};

/// What is exported, by domain and name.
#[derive(Debug, Default)]
pub struct Exported {
    pub documents: Vec<ExportedDocument>,
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug)]
pub struct ExportedDocument {
    pub domain: DomainName,
    pub name: String,
    pub text: String,
}

/// A stored field that can't be a document.
#[derive(Debug)]
pub struct LeftOut {
    pub domain: String,
    /// The field; `None`: the whole domain.
    pub name: Option<String>,
    pub reason: String,
}

/// Which gateways.
#[derive(Debug, Clone, Copy)]
pub enum Selected<'a> {
    All,
    Domain(&'a DomainName),
    /// Every one that this selects. Its page doesn't matter.
    Filter(&'a ListQuery),
}

impl Service {
    /// The gateways that the caller sees, as documents. That secrets are shown is recorded first.
    ///
    /// # Errors
    /// There is no such domain; secrets are asked for and the caller is no admin; Redis can't be read.
    pub async fn export(
        &self,
        caller: &Caller,
        selected: Selected<'_>,
        secrets: Secrets,
        format: Format,
    ) -> Result<Exported, OperateError> {
        if secrets == Secrets::Plain {
            caller.requires(Role::Admin)?;
        }
        let names = match selected {
            Selected::Filter(query) => Some(self.names(caller, query).await?.into_iter().collect()),
            Selected::All | Selected::Domain(_) => None,
        };
        let current = self.writable().await?;
        let mut domains = current.domains.keys();
        let domains: Vec<_> = match selected {
            Selected::Domain(domain) => {
                caller.check_sees(domain.text())?;
                let found = domains.find(|found| *found == domain);
                vec![found.ok_or_else(|| OperateError::NoSuchDomain(domain.to_string()))?]
            }
            _ => domains.filter(|domain| caller.sees(domain.text())).collect(),
        };
        if secrets == Secrets::Plain {
            let domain = domains.first().filter(|_| domains.len() == 1);
            self.record_reveal(caller, domain.map(ToString::to_string)).await?;
        }
        let domains = domains.into_iter().cloned().collect::<Vec<_>>();
        let writing = spawn_blocking(move || write_all(&current, &domains, names.as_ref(), secrets, format));
        writing.await.map_err(|_| OperateError::Interrupted)
    }

    /// Everything, with its secrets. For a backup.
    pub(super) async fn export_all(&self, format: Format) -> Result<Exported, OperateError> {
        let current = self.writable().await?;
        let writing = spawn_blocking(move || {
            let domains: Vec<_> = current.domains.keys().cloned().collect();
            write_all(&current, &domains, None, Secrets::Plain, format)
        });
        writing.await.map_err(|_| OperateError::Interrupted)
    }

    async fn record_reveal(&self, caller: &Caller, domain: Option<String>) -> Result<(), OperateError> {
        let event = Event::Reveal {
            field: "param.password".to_owned(),
        };
        let reveal = Entry {
            domain,
            ..Entry::now(&caller.identity, event)
        };
        let recorded = self.history.record(&reveal).await;
        recorded.map(drop).map_err(OperateError::writing(&self.settings))
    }
}

type Names = BTreeSet<(DomainName, String)>;

fn write_all(
    current: &Current,
    domains: &[DomainName],
    names: Option<&Names>,
    secrets: Secrets,
    format: Format,
) -> Exported {
    let mut exported = Exported::default();
    let mut fields = Vec::new();
    for domain in domains {
        match current.domains.get(domain) {
            Some(RawDomain::Hash(stored)) => fields.extend(stored.iter().map(|(name, value)| (domain, name, value))),
            Some(RawDomain::WrongType(kind)) => exported.left_out.push(LeftOut {
                domain: domain.to_string(),
                name: None,
                reason: format!("its key is a {kind} and no hash"),
            }),
            None => {}
        }
    }
    if let Some(names) = names {
        let is_chosen = |domain: &DomainName, name: &[u8]| {
            let name = String::from_utf8_lossy(name).into_owned();
            names.contains(&(domain.clone(), name))
        };
        fields.retain(|(domain, name, _)| is_chosen(domain, name));
    }
    fields.sort_unstable_by_key(|(domain, name, _)| (*domain, *name));
    let parts = on_all_cores(&fields, |part| {
        let mut exported = Exported::default();
        for (domain, name, value) in part {
            exported.add(domain, name, value, secrets, format);
        }
        exported
    });
    for part in parts {
        exported.documents.extend(part.documents);
        exported.left_out.extend(part.left_out);
    }
    exported
}

impl Exported {
    fn add(&mut self, domain: &DomainName, name: &[u8], value: &[u8], secrets: Secrets, format: Format) {
        let mut text = String::with_capacity(value.len() + value.len() / 2);
        let shown_name = || DomainName::new(name).to_string();
        match documents::write(&mut text, domain, name, value, secrets, format) {
            Ok(()) => self.documents.push(ExportedDocument {
                domain: domain.clone(),
                name: String::from_utf8_lossy(name).into_owned(),
                text,
            }),
            Err(reason) => self.left_out.push(LeftOut {
                domain: domain.to_string(),
                name: Some(shown_name()),
                reason: reason.to_string(),
            }),
        }
    }
}
