//! Documents that are written once and shared by all requests for the same: a fleet that restarts
//! asks for one document a thousand times.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::source::CurrentConfig;
use crate::gateway::Desired;
use crate::gateway::RevisionKey;
use crate::sofia_conf::{Document, GatewayQuery, Query, Templates, Text};

/// States whose documents are kept: the present one, the one before it (a new document may take
/// long to write), and the one that a switch with a held plan is served.
const GENERATIONS: usize = 3;
/// Cached documents of one state. One profile of 10,000 gateways is 4 MB, and if gateways name
/// their nodes, every node has a document of its own. Further documents are written for each
/// request.
const MAX_DOCUMENTS: usize = 1024;
/// Bytes of all cached documents of one state.
const MAX_BYTES: usize = 64 << 20;
/// The estimate for a gateway in a document that is still being written.
const GATEWAY_BYTES: usize = 1024;

/// Shared by all requests.
#[derive(Debug)]
pub struct DocumentCache {
    /// The one used last is in front.
    generations: Mutex<VecDeque<Arc<Generation>>>,
    limit: Duration,
}

pub(super) struct CachedDocument {
    /// `None` if the profile has no template.
    pub(super) text: Option<Text>,
    /// Since when there is a newer state, if there is one.
    pub(super) outdated_since: Option<Timestamp>,
}

/// The document could not be written: the writer panicked, or trunkd is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteFailed;

/// The documents of one state of gateways and templates. It does not keep the gateways alive.
struct Generation {
    desired: Weak<Desired>,
    templates: Arc<Templates>,
    key: RevisionKey,
    began: Timestamp,
    documents: Mutex<HashMap<DocumentKey, PendingDocument>>,
}

/// Identifies a document of one state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DocumentKey {
    /// In the template's spelling.
    profile: Option<String>,
    with_settings: bool,
    /// Only for a node that some gateway names; the other nodes share a document.
    node: Option<String>,
}

/// A document that is being written, or was.
type PendingDocument = Shared<BoxFuture<'static, Result<Option<Arc<Document>>, WriteFailed>>>;

impl DocumentCache {
    /// A request that waits for longer than `limit` gets an older document, if there is one.
    pub fn new(limit: Duration) -> Self {
        Self {
            generations: Mutex::default(),
            limit,
        }
    }

    /// The document for `query`, which must not be for one gateway, in the state `current`.
    pub(super) async fn get(
        &self,
        current: &CurrentConfig,
        query: &Query<'_>,
        asked_at: Instant,
    ) -> Result<CachedDocument, WriteFailed> {
        let key = DocumentKey {
            profile: query.profile.map(str::to_owned),
            with_settings: query.gateway == GatewayQuery::None,
            // Only gateways differ by node, and without a profile there are none.
            node: query
                .node
                .filter(|node| query.profile.is_some() && current.desired.names_node(node))
                .map(str::to_owned),
        };
        let generation = self.generation(current);
        let pending = generation.document(&current.desired, &key, || self.predecessor(&generation, &key));
        let written = match timeout_at(asked_at + self.limit, pending.clone()).await {
            Ok(Ok(document)) => document,
            Ok(Err(WriteFailed)) | Err(_) => match self.older(&generation, &key) {
                Some(document) => {
                    return Ok(CachedDocument {
                        text: Some(document.text().clone()),
                        outdated_since: Some(generation.began),
                    });
                }
                None => pending.await?,
            },
        };
        Ok(CachedDocument {
            text: written.map(|document| document.text().clone()),
            outdated_since: None,
        })
    }

    fn generation(&self, current: &CurrentConfig) -> Arc<Generation> {
        let mut generations = self.lock();
        let known = generations.iter().position(|generation| generation.is_of(current));
        let generation = known.and_then(|at| generations.remove(at)).unwrap_or_else(|| {
            Arc::new(Generation {
                desired: Arc::downgrade(&current.desired),
                templates: current.templates.clone(),
                key: current.key.clone(),
                began: Timestamp::now(),
                documents: Mutex::default(),
            })
        });
        generations.push_front(generation.clone());
        generations.truncate(GENERATIONS);
        generation
    }

    /// A document that the one of this generation can share unchanged blocks with.
    fn predecessor(&self, generation: &Generation, key: &DocumentKey) -> Option<Arc<Document>> {
        let generations = self.lock();
        let candidates = generations.iter().filter(|other| other.can_precede(generation));
        candidates
            .max_by_key(|other| other.began)
            .and_then(|other| other.written(key))
    }

    /// The newest document of an earlier generation.
    fn older(&self, than: &Arc<Generation>, key: &DocumentKey) -> Option<Arc<Document>> {
        let generations = self.lock();
        let others = generations.iter().filter(|other| !Arc::ptr_eq(other, than));
        others
            .filter(|other| other.began <= than.began)
            .max_by_key(|other| other.began)
            .and_then(|other| other.written(key))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Generation>>> {
        // A generation that a panic lost is written again.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generation {
    fn is_of(&self, current: &CurrentConfig) -> bool {
        std::ptr::eq(self.desired.as_ptr(), Arc::as_ptr(&current.desired))
            && Arc::ptr_eq(&self.templates, &current.templates)
            && self.key == current.key
    }

    fn can_precede(&self, other: &Generation) -> bool {
        !self.desired.ptr_eq(&other.desired) && Arc::ptr_eq(&self.templates, &other.templates) && self.key == other.key
    }

    /// `desired` must be the state of this generation.
    fn document(
        &self,
        desired: &Arc<Desired>,
        key: &DocumentKey,
        predecessor: impl FnOnce() -> Option<Arc<Document>>,
    ) -> PendingDocument {
        if let Some(pending) = self.lock().get(key) {
            return pending.clone();
        }
        // This locks other generations, so it must not hold the lock of this one.
        let predecessor = predecessor();
        let mut documents = self.lock();
        if let Some(pending) = documents.get(key) {
            return pending.clone();
        }
        let pending = self.write(desired.clone(), key.clone(), predecessor);
        let bytes = |(key, pending): (&DocumentKey, &PendingDocument)| match pending.peek() {
            Some(Ok(Some(document))) => document.text().len(),
            Some(_) => 0,
            // Documents for all nodes are few, so they count only once they are written.
            None => key.node.as_ref().map_or(0, |_| desired.served().len() * GATEWAY_BYTES),
        };
        if documents.len() < MAX_DOCUMENTS && documents.iter().map(bytes).sum::<usize>() < MAX_BYTES {
            documents.insert(key.clone(), pending.clone());
        }
        pending
    }

    /// Writes megabytes if there are ten thousand gateways, so it must not run on a thread that
    /// serves others. It goes on even if nobody waits any more.
    fn write(&self, desired: Arc<Desired>, key: DocumentKey, predecessor: Option<Arc<Document>>) -> PendingDocument {
        let (templates, revision_key) = (self.templates.clone(), self.key.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let query = Query {
                profile: key.profile.as_deref(),
                gateway: match key.with_settings {
                    true => GatewayQuery::None,
                    false => GatewayQuery::All,
                },
                // Nodes that share a document get the gateways that are for all nodes.
                node: Some(key.node.as_deref().unwrap_or_default()),
            };
            let began = Instant::now();
            let document = templates.next_document(&desired, &revision_key, &query, predecessor.as_deref());
            tracing::debug!(
                bytes = document.as_ref().map(|document| document.text().len()),
                from_scratch = predecessor.is_none(),
                ms = crate::telemetry::ms(began.elapsed()),
                "document written"
            );
            document.map(Arc::new)
        });
        writing.map(|done| done.map_err(|_| WriteFailed)).boxed().shared()
    }

    fn written(&self, key: &DocumentKey) -> Option<Arc<Document>> {
        self.lock().get(key)?.peek()?.clone().ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DocumentKey, PendingDocument>> {
        // An insert either happened or did not.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
