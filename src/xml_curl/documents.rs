//! Documents that were written once and are shared by all who ask for the same: a fleet that restarts asks for one document a thousand times.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::Current;
use crate::gateway::Desired;
use crate::gateway::RevisionKey;
use crate::sofia_conf::{Document, GatewayQuery, Query, Templates, Text};

/// States of which documents are kept: the present one, the one before it, for when writing is slow, and what a held switch is served.
const GENERATIONS: usize = 3;
/// Documents of one state, and what they may take together: those beyond are written for each who asks. One profile of 10,000 gateways is 4 MB; where
/// gateways name their nodes, there is one for each of these.
const MOST_DOCUMENTS: usize = 1024;
const MOST_BYTES: usize = 64 << 20;
/// About what a gateway takes, for documents that are being written.
const GATEWAY_BYTES: usize = 1024;

/// Shared by every request.
#[derive(Debug)]
pub struct Documents {
    /// That used last in front.
    generations: Mutex<VecDeque<Arc<Generation>>>,
    limit: Duration,
}

/// A document, and since when it is not the newest, if it is not.
pub(super) struct Found {
    pub(super) document: Option<Text>,
    pub(super) outdated_since: Option<Timestamp>,
}

/// It was not written: a panic, or the end of trunkd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotWritten;

/// What one state of the gateways and templates looks like. Does not keep the gateways, which are read and kept elsewhere for as long as they
/// are served.
struct Generation {
    desired: Weak<Desired>,
    templates: Arc<Templates>,
    key: RevisionKey,
    began: Timestamp,
    documents: Mutex<HashMap<Kind, Writing>>,
}

/// What tells the documents of one state apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    /// In the template's spelling.
    profile: Option<String>,
    with_settings: bool,
    /// Set when the node gets others than most.
    node: Option<String>,
}

/// Of one that is being written, or was.
type Writing = Shared<BoxFuture<'static, Result<Option<Arc<Document>>, NotWritten>>>;

impl Documents {
    /// Whoever waits for longer than `limit`, counted from when it asked, gets an older document if there is one.
    pub fn new(limit: Duration) -> Self {
        Self {
            generations: Mutex::default(),
            limit,
        }
    }

    /// The document of all gateways that are asked for.
    pub(super) async fn get(&self, current: &Current, query: &Query<'_>, asked: Instant) -> Result<Found, NotWritten> {
        let kind = Kind {
            profile: query.profile.map(str::to_owned),
            with_settings: query.gateway == GatewayQuery::None,
            // Without a profile there are no gateways, which alone differ by node.
            node: query
                .node
                .filter(|node| query.profile.is_some() && current.desired.names_node(node))
                .map(str::to_owned),
        };
        let generation = self.generation(current);
        let writing = generation.document(&current.desired, &kind, || self.like(&generation, &kind));
        let written = match timeout_at(asked + self.limit, writing.clone()).await {
            Ok(Ok(document)) => Ok(document),
            // In time or not: an older one is better than none.
            Ok(Err(NotWritten)) | Err(_) => match self.older(&generation, &kind) {
                Some(document) => {
                    return Ok(Found {
                        document: Some(document.text().clone()),
                        outdated_since: Some(generation.began),
                    });
                }
                None => writing.await,
            },
        };
        written.map(|document| Found {
            document: document.map(|document| document.text().clone()),
            outdated_since: None,
        })
    }

    fn generation(&self, current: &Current) -> Arc<Generation> {
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

    /// A document that the one of this generation can be made from.
    fn like(&self, generation: &Generation, kind: &Kind) -> Option<Arc<Document>> {
        let generations = self.lock();
        let alike = generations.iter().filter(|other| other.is_written_like(generation));
        alike
            .max_by_key(|other| other.began)
            .and_then(|other| other.written(kind))
    }

    /// The newest other document of the kind that is there already.
    fn older(&self, than: &Arc<Generation>, kind: &Kind) -> Option<Arc<Document>> {
        let generations = self.lock();
        let others = generations.iter().filter(|other| !Arc::ptr_eq(other, than));
        others
            .filter(|other| other.began <= than.began)
            .max_by_key(|other| other.began)
            .and_then(|other| other.written(kind))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Generation>>> {
        // Losing one of them costs writing it again.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generation {
    fn is_of(&self, current: &Current) -> bool {
        std::ptr::eq(self.desired.as_ptr(), Arc::as_ptr(&current.desired))
            && Arc::ptr_eq(&self.templates, &current.templates)
            && self.key == current.key
    }

    fn is_written_like(&self, other: &Generation) -> bool {
        !self.desired.ptr_eq(&other.desired) && Arc::ptr_eq(&self.templates, &other.templates) && self.key == other.key
    }

    /// `desired` is what this is the generation of.
    fn document(&self, desired: &Arc<Desired>, kind: &Kind, before: impl FnOnce() -> Option<Arc<Document>>) -> Writing {
        if let Some(writing) = self.lock().get(kind) {
            return writing.clone();
        }
        // Looks at other generations, so not with the lock of this one.
        let before = before();
        let mut documents = self.lock();
        if let Some(writing) = documents.get(kind) {
            return writing.clone();
        }
        let writing = self.write(desired.clone(), kind.clone(), before);
        // Kinds without a node are few, and shared by most: they always count as what they turned out to be.
        let expected = |kind: &Kind| kind.node.as_ref().map_or(0, |_| desired.served().len() * GATEWAY_BYTES);
        let bytes = |(kind, writing): (&Kind, &Writing)| {
            let written = writing.peek().map(|done| size(done.as_ref().ok()));
            written.unwrap_or_else(|| expected(kind))
        };
        if documents.len() < MOST_DOCUMENTS && documents.iter().map(bytes).sum::<usize>() < MOST_BYTES {
            documents.insert(kind.clone(), writing.clone());
        }
        writing
    }

    /// Ten thousand gateways are megabytes to write: not on a thread that other connections wait for. Goes on though nobody waits any more.
    fn write(&self, desired: Arc<Desired>, kind: Kind, before: Option<Arc<Document>>) -> Writing {
        let (templates, key) = (self.templates.clone(), self.key.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let query = Query {
                profile: kind.profile.as_deref(),
                gateway: match kind.with_settings {
                    true => GatewayQuery::None,
                    false => GatewayQuery::All,
                },
                // One that no gateway names gets those that name nobody.
                node: Some(kind.node.as_deref().unwrap_or_default()),
            };
            let began = Instant::now();
            let document = templates.next_document(&desired, &key, &query, before.as_deref());
            tracing::debug!(
                bytes = document.as_ref().map(|document| document.text().len()),
                anew = before.is_none(),
                ms = crate::telemetry::ms(began.elapsed()),
                "document written"
            );
            document.map(Arc::new)
        });
        writing.map(|done| done.map_err(|_| NotWritten)).boxed().shared()
    }

    fn written(&self, kind: &Kind) -> Option<Arc<Document>> {
        self.lock().get(kind)?.peek()?.clone().ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Writing>> {
        // An insert either happened or did not.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(document: Option<&Option<Arc<Document>>>) -> usize {
    document
        .and_then(Option::as_ref)
        .map_or(0, |document| document.text().len())
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;
    use crate::gateway::{ProfileName, RawDomain};

    const EXTERNAL: Query<'static> = Query {
        profile: Some("external"),
        gateway: GatewayQuery::None,
        node: Some("fs1"),
    };
    const LONG: Duration = Duration::from_secs(3600);

    fn templates() -> Arc<Templates> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        Arc::new(Templates::load(&dir).unwrap())
    }

    fn current(templates: &Arc<Templates>, realm: &str, nodes: &str) -> Current {
        let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
        let value = format!(r#"{{"param":{{"register":"false","realm":"{realm}"}},"nodes":{nodes}}}"#);
        let fields = [(b"gw".to_vec(), value.into_bytes())];
        let domains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        Current {
            desired: Arc::new(Desired::build(&domains, &rules, None)),
            key: RevisionKey::new([7; 32]),
            templates: templates.clone(),
            stale_since: None,
            is_for_one: false,
        }
    }

    async fn get(documents: &Documents, current: &Current, query: &Query<'_>) -> (Text, bool) {
        let found = documents.get(current, query, Instant::now()).await.unwrap();
        (found.document.unwrap(), found.outdated_since.is_some())
    }

    #[tokio::test]
    async fn who_asks_for_the_same_gets_the_same_bytes() {
        let (documents, templates) = (Documents::new(LONG), templates());
        let current = current(&templates, "a", r#"["fs1"]"#);
        let of = |node| Query {
            node: Some(node),
            ..EXTERNAL
        };
        let all = Query {
            gateway: GatewayQuery::All,
            ..EXTERNAL
        };
        let (first, _) = get(&documents, &current, &of("fs1")).await;
        let (again, _) = get(&documents, &current, &of("fs1")).await;
        assert!(first.is_same(&again));
        let (other, _) = get(&documents, &current, &of("fs2")).await;
        let (third, _) = get(&documents, &current, &of("fs3")).await;
        assert!(other.is_same(&third), "no gateway tells these two apart");
        let (without_settings, _) = get(&documents, &current, &all).await;
        for (query, found) in [(of("fs1"), first), (of("fs2"), other), (all, without_settings)] {
            let expected = templates.document(&current.desired, &current.key, &query).unwrap();
            assert_eq!(found.to_string(), expected);
        }
    }

    #[test]
    fn whoever_cannot_wait_gets_the_document_before_and_the_new_one_is_written_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (documents, templates) = (Documents::new(Duration::ZERO), templates());
            let (before, after) = (
                current(&templates, "before", "null"),
                current(&templates, "after", "null"),
            );
            let (old, outdated) = get(&documents, &before, &EXTERNAL).await;
            assert!(!outdated, "there is no other: it is waited for");
            // Nothing else is written meanwhile.
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let (document, is_outdated) = get(&documents, &after, &EXTERNAL).await;
            assert!(document.is_same(&old) && is_outdated);
            drop(release);
            let _ = busy.await;
            loop {
                let (document, outdated) = get(&documents, &after, &EXTERNAL).await;
                if !outdated {
                    assert!(document.to_string().contains("after"));
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn documents_that_are_being_written_count_as_what_they_will_take() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (documents, templates) = (Documents::new(LONG), templates());
            let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
            let fields = (0..2000).map(|number| {
                let value = format!(r#"{{"param":{{"register":"false"}},"nodes":["fs{}"]}}"#, number % 100);
                (format!("gw{number}").into_bytes(), value.into_bytes())
            });
            let domains = [("acme".to_owned(), RawDomain::hash(fields))].into();
            let current = Current {
                desired: Arc::new(Desired::build(&domains, &rules, None)),
                ..current(&templates, "", "null")
            };
            // Nothing is written meanwhile.
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let nodes: Vec<_> = (0..100).map(|number| format!("fs{number}")).collect();
            let asking = nodes.iter().map(|node| {
                let query = Query {
                    node: Some(node),
                    ..EXTERNAL
                };
                let (documents, current) = (&documents, &current);
                async move { documents.get(current, &query, Instant::now()).await }
            });
            let asked = futures_util::future::join_all(asking);
            assert!(asked.now_or_never().is_none());
            let kept = documents.generation(&current).lock().len();
            assert!(
                kept * 2000 * GATEWAY_BYTES <= MOST_BYTES + 2000 * GATEWAY_BYTES,
                "{kept} are kept"
            );
            drop(release);
            let _ = busy.await;
        });
    }

    #[tokio::test]
    async fn old_states_are_let_go() {
        let (documents, templates) = (Documents::new(LONG), templates());
        let first = current(&templates, "first", "null");
        get(&documents, &first, &EXTERNAL).await;
        for number in 0..GENERATIONS {
            get(&documents, &current(&templates, &number.to_string(), "null"), &EXTERNAL).await;
        }
        assert_eq!(Arc::strong_count(&first.desired), 1);
    }
}
