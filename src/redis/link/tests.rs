use std::path::Path;

use super::super::options::Options;
use super::*;
use crate::settings::{RedisSettings, SentinelSettings};

impl Link {
    /// With Sentinels that were never asked.
    pub(crate) fn of_sentinels() -> Self {
        let settings = RedisSettings {
            sentinel: Some(SentinelSettings {
                master: "mymaster".to_owned(),
                nodes: Vec::new(),
                username: None,
                password: None,
                password_file: None,
                database: 0,
                tls: false,
            }),
            ..RedisSettings::default()
        };
        let options = Options::from_settings(&settings, Path::new("")).unwrap();
        Self::new(&options.address, None, Duration::from_secs(1))
    }

    /// With a master at 127.0.0.1.
    pub(crate) fn with_master(port: u16) -> Self {
        let link = Self::of_sentinels();
        link.set_master(master(port, 1));
        link.confirm_master("mymaster", &master(port, 1).address);
        link
    }
}

fn master(port: u16, epoch: u64) -> MasterAddress {
    let host = "127.0.0.1".to_owned();
    MasterAddress {
        address: HostPort { host, port },
        epoch,
    }
}

fn port(link: &Link) -> Option<u16> {
    link.lock().named.as_ref().map(|named| named.address.port)
}

#[test]
fn a_sentinel_that_missed_a_failover_is_ignored_until_it_repeats_itself_for_long() {
    let link = Link::of_sentinels();
    link.set_master(master(1, 5));
    link.set_master(master(2, 6));
    link.set_master(master(1, 5));
    assert_eq!(port(&link), Some(2), "an older epoch is the old master");
    link.lock().named_at -= IGNORE_OLD_EPOCH;
    link.set_master(master(1, 0));
    assert_eq!(port(&link), Some(1), "the Sentinels were set up again");
}

#[tokio::test]
async fn a_moved_master_ends_what_waits_on_the_old_one() {
    let link = Arc::new(Link::of_sentinels());
    link.set_master(master(1, 1));
    let waiting = tokio::spawn({
        let link = link.clone();
        async move { link.moved(0).await }
    });
    link.set_master(master(1, 2));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && link.is_current(0), "the address is the same");
    link.set_master(master(2, 3));
    waiting.await.unwrap();
    assert!(!link.is_current(0) && link.is_current(1));
}

#[test]
fn everything_is_read_again_once_after_a_loss() {
    let link = Link::of_sentinels();
    let recovered = link.recovered();
    link.mark_reached();
    assert!(!recovered.has_changed().unwrap(), "nothing was lost");
    link.mark_lost();
    link.mark_lost();
    link.mark_reached();
    link.mark_reached();
    assert_eq!(*recovered.borrow(), 1);
}

#[test]
fn a_new_master_may_lack_writes_so_a_move_counts_as_a_loss() {
    let link = Link::of_sentinels();
    link.set_master(master(1, 1));
    link.set_master(master(2, 2));
    link.mark_reached();
    assert_eq!(*link.recovered().borrow(), 1);
}

#[test]
fn a_master_is_named_in_messages_once_it_is_known() {
    let link = Link::of_sentinels();
    assert_eq!(link.server_name(), "Redis, the master \"mymaster\"");
    link.set_master(master(6379, 1));
    assert_eq!(link.server_name(), "Redis at 127.0.0.1:6379");
    // It moved while we were connecting: the old address is not confirmed.
    link.confirm_master("mymaster", &master(6380, 1).address);
    assert_eq!(link.master(), None);
    link.confirm_master("mymaster", &master(6379, 1).address);
    assert_eq!(link.master(), Some(master(6379, 1).address));
}
