//! The names of gateways that a filter selects, or that have a name.

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::query::ListQuery;
use super::select::{Basis, matching};
use crate::gateway::DomainName;

impl Service {
    /// Domain and name of every gateway that the query selects and that a domain has, in order. Its sort
    /// and its page don't matter.
    ///
    /// # Errors
    /// As [`Service::list`].
    pub(in crate::operate) async fn names(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Vec<(DomainName, String)>, OperateError> {
        if let Some(domain) = &query.domain {
            caller.check_sees(domain)?;
        }
        self.catch_up().await?;
        let notes = self.notes().await?;
        let (listing, query, caller) = (self.listing().clone(), query.clone(), caller.clone());
        let default_profile = self.settings.templates.default_profile.clone();
        let selecting = tokio::task::spawn_blocking(move || {
            let known = listing.read();
            let sees = |domain: Option<&str>| caller.sees_in(domain);
            let basis = Basis {
                default_profile: &default_profile,
                notes: &notes,
            };
            let (selected, _) = matching(&known.index, &query, basis, sees)?;
            let named = selected.into_iter().filter_map(|item| {
                let domain = DomainName::from_text(item.domain.as_deref()?);
                Some((domain, item.name.to_string()))
            });
            let mut named: Vec<_> = named.collect();
            named.sort();
            Ok(named)
        });
        selecting.await.unwrap_or_else(|_| Err(OperateError::Interrupted))
    }
}
