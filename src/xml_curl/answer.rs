//! A request for `sofia.conf` → its response.

use tokio::time::Instant;

use super::cache::{CachedDocument, DocumentCache};
use super::request::{RequestedGateway, SofiaConfRequest};
use super::response::{RequestOutcome, Response};
use super::source::ConfigSource;
use crate::sofia_conf::{GatewayQuery, Query, Templates};

/// Answers a request for `sofia.conf`.
///
/// A profile without a template is not found. A gateway that does not exist, belongs to another
/// profile, or could not even be a name gets the profile without gateways. FreeSWITCH then adds
/// none; at a "not found" it would search the XML on its disk for that gateway.
pub async fn answer(source: &impl ConfigSource, cache: &DocumentCache, request: &SofiaConfRequest) -> Response {
    let asked_at = Instant::now();
    let current = match source.current(request).await {
        Ok(current) => current,
        Err(unavailable) => return Response::refused(RequestOutcome::Unavailable, unavailable.to_string()),
    };
    let profile = match &request.profile {
        Some(requested) => match profile_name(&current.templates, requested) {
            Some(name) => Some(name),
            None => return Response::not_found(),
        },
        None => None,
    };
    let query = Query {
        profile,
        gateway: match &request.gateway {
            RequestedGateway::Absent => GatewayQuery::None,
            RequestedGateway::All => GatewayQuery::All,
            RequestedGateway::One(name) => GatewayQuery::One(name),
        },
        // Never `None`: a gateway for certain switches must not go to one that does not say which
        // it is.
        node: Some(&request.node),
    };
    let is_cached = current.is_shared && !matches!(request.gateway, RequestedGateway::One(_));
    let found = if is_cached {
        match cache.get(&current, &query, asked_at).await {
            Ok(found) => found,
            Err(_) => return Response::failed(),
        }
    } else {
        let document = current
            .templates
            .next_document(&current.desired, &current.key, &query, None);
        CachedDocument {
            text: document.map(|document| document.text().clone()),
            outdated_since: None,
        }
    };
    let response = match found.text {
        Some(text) => Response::new(RequestOutcome::Served, text),
        None => Response::not_found(),
    };
    Response {
        stale_since: current.stale_since.or(found.outdated_since),
        ..response
    }
}

/// The template's own spelling of a profile. mod_sofia ignores the case of profile names
/// (config_sofia in sofia.c), so `sofia profile EXTERNAL start` asks for a profile that exists.
fn profile_name<'a>(templates: &'a Templates, requested: &str) -> Option<&'a str> {
    let names = || templates.profile_names().map(|name| name.as_str());
    names()
        .find(|name| *name == requested)
        .or_else(|| names().find(|name| name.eq_ignore_ascii_case(requested)))
}
