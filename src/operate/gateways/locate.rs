//! Finds the domain of a gateway by its name alone.

use super::super::service::Service;
use super::super::{Caller, OperateError};
use crate::gateway::{DomainName, GatewayName, RawDomain};

impl Service {
    /// The one domain of those that the caller sees that has a gateway of this name.
    ///
    /// # Errors
    /// [`OperateError::InNoDomain`], [`OperateError::InSeveralDomains`], or Redis can't be read.
    pub async fn domain_of(&self, caller: &Caller, name: &GatewayName) -> Result<DomainName, OperateError> {
        let current = self.catalog.one(name.as_str()).await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        let has = |raw: &RawDomain| match raw {
            RawDomain::Hash(fields) => fields.iter().any(|(field, _)| field == name.as_str().as_bytes()),
            RawDomain::WrongType(_) => false,
        };
        let domains = current.domains.iter();
        let mut found = domains
            .filter(|(domain, raw)| caller.sees(domain.text()) && has(raw))
            .map(|(domain, _)| domain.clone());
        match (found.next(), found.next()) {
            (Some(domain), None) => Ok(domain),
            (None, _) => Err(OperateError::InNoDomain(name.to_string())),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(found);
                Err(OperateError::InSeveralDomains {
                    gateway: name.to_string(),
                    domains: all.map(|domain| domain.to_string()).collect(),
                })
            }
        }
    }
}
