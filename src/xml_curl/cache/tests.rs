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

fn current(templates: &Arc<Templates>, realm: &str, nodes: &str) -> CurrentConfig {
    let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
    let value = format!(r#"{{"param":{{"register":"false","realm":"{realm}"}},"nodes":{nodes}}}"#);
    let fields = [(b"gw".to_vec(), value.into_bytes())];
    let domains = [("acme".to_owned(), RawDomain::hash(fields))].into();
    CurrentConfig {
        desired: Arc::new(Desired::build(&domains, &rules, None)),
        key: RevisionKey::new([7; 32]),
        templates: templates.clone(),
        stale_since: None,
        is_shared: true,
    }
}

async fn get(cache: &DocumentCache, current: &CurrentConfig, query: &Query<'_>) -> (Text, bool) {
    let found = cache.get(current, query, Instant::now()).await.unwrap();
    (found.text.unwrap(), found.outdated_since.is_some())
}

/// Runs a test whose documents can only be written one at a time.
fn with_one_blocking_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(test);
}

#[tokio::test]
async fn requests_for_the_same_document_share_its_bytes() {
    let (cache, templates) = (DocumentCache::new(LONG), templates());
    let current = current(&templates, "a", r#"["fs1"]"#);
    let of = |node| Query {
        node: Some(node),
        ..EXTERNAL
    };
    let all = Query {
        gateway: GatewayQuery::All,
        ..EXTERNAL
    };
    let (first, _) = get(&cache, &current, &of("fs1")).await;
    let (again, _) = get(&cache, &current, &of("fs1")).await;
    assert!(first.is_same(&again));
    let (other, _) = get(&cache, &current, &of("fs2")).await;
    let (third, _) = get(&cache, &current, &of("fs3")).await;
    assert!(other.is_same(&third), "no gateway names either of them");
    let (without_settings, _) = get(&cache, &current, &all).await;
    for (query, found) in [(of("fs1"), first), (of("fs2"), other), (all, without_settings)] {
        let expected = templates.document(&current.desired, &current.key, &query).unwrap();
        assert_eq!(found.to_string(), expected);
    }
}

#[test]
fn whoever_cannot_wait_gets_the_document_before_and_the_new_one_is_written_all_the_same() {
    with_one_blocking_thread(async {
        let (cache, templates) = (DocumentCache::new(Duration::ZERO), templates());
        let (before, after) = (
            current(&templates, "before", "null"),
            current(&templates, "after", "null"),
        );
        let (old, outdated) = get(&cache, &before, &EXTERNAL).await;
        assert!(!outdated, "there is no other: it is waited for");
        // Nothing else can be written meanwhile.
        let (release, released) = mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());
        let (document, is_outdated) = get(&cache, &after, &EXTERNAL).await;
        assert!(document.is_same(&old) && is_outdated);
        drop(release);
        let _ = busy.await;
        loop {
            let (document, outdated) = get(&cache, &after, &EXTERNAL).await;
            if !outdated {
                assert!(document.to_string().contains("after"));
                break;
            }
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn documents_that_are_being_written_count_with_their_expected_size() {
    with_one_blocking_thread(async {
        let (cache, templates) = (DocumentCache::new(LONG), templates());
        let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
        let fields = (0..2000).map(|number| {
            let value = format!(r#"{{"param":{{"register":"false"}},"nodes":["fs{}"]}}"#, number % 100);
            (format!("gw{number}").into_bytes(), value.into_bytes())
        });
        let domains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        let current = CurrentConfig {
            desired: Arc::new(Desired::build(&domains, &rules, None)),
            ..current(&templates, "", "null")
        };
        // Nothing can be written meanwhile.
        let (release, released) = mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());
        let nodes: Vec<_> = (0..100).map(|number| format!("fs{number}")).collect();
        let asking = nodes.iter().map(|node| {
            let query = Query {
                node: Some(node),
                ..EXTERNAL
            };
            let (cache, current) = (&cache, &current);
            async move { cache.get(current, &query, Instant::now()).await }
        });
        let asked = futures_util::future::join_all(asking);
        assert!(asked.now_or_never().is_none());
        let kept = cache.generation(&current).lock().len();
        assert!(
            kept * 2000 * GATEWAY_BYTES <= MAX_BYTES + 2000 * GATEWAY_BYTES,
            "{kept} are kept"
        );
        drop(release);
        let _ = busy.await;
    });
}

#[tokio::test]
async fn old_states_are_dropped() {
    let (cache, templates) = (DocumentCache::new(LONG), templates());
    let first = current(&templates, "first", "null");
    get(&cache, &first, &EXTERNAL).await;
    for number in 0..GENERATIONS {
        get(&cache, &current(&templates, &number.to_string(), "null"), &EXTERNAL).await;
    }
    assert_eq!(Arc::strong_count(&first.desired), 1);
}
