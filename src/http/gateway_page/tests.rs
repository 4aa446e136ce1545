use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::metrics::GatewayLabels;

/// Counts how often it was read.
#[derive(Default)]
struct Counting(AtomicUsize);

impl ReadGateways for Counting {
    fn read(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<GatewaySample>, String>> {
        Box::pin(async move {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let name = format!("gw{number}");
            let labels = GatewayLabels::new("fs1", &name, None, None);
            Ok(vec![GatewaySample::of_state(labels, "REGED", 1.0)])
        })
    }

    fn carriers(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async { Ok("carriers".to_owned()) })
    }
}

fn text(body: GatewayBody) -> String {
    body.0.collect()
}

#[tokio::test]
async fn scrapes_at_the_same_time_share_one_reading_and_later_ones_read_again() {
    let source = Arc::new(Counting::default());
    let page = GatewayPage::new(source.clone());
    let (one, other) = tokio::join!(page.body(), page.body());
    let (one, other) = (text(one.unwrap()), text(other.unwrap()));
    assert!(one.contains("gateway=\"gw0\"") && one == other);
    let later = text(page.body().await.unwrap());
    assert!(later.contains("gateway=\"gw1\""), "{later}");
    assert_eq!(source.0.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn slow_readers_keep_a_bounded_number_of_readings() {
    let page = GatewayPage::new(Arc::new(Counting::default()));
    let mut kept = Vec::new();
    for _ in 0..MAX_READINGS {
        kept.push(page.body().await.unwrap());
        // As if it were older than may be shared.
        *page.last.lock().await = Weak::new();
    }
    let refused = page.body().await.err().unwrap();
    assert!(refused.contains("try again"), "{refused}");
    kept.clear();
    assert!(page.body().await.is_ok());
}
