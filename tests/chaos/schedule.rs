//! A schedule: a whole installation, its life, a fault in the middle, and what must be true
//! afterwards. One seed decides everything but how long things take.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Mutex;

use crate::faults::Fault;
use crate::life::{Editor, HOST, Life, PARK_AFTER, PASSWORD, PER_SECOND, TRUNKS};
use crate::past;
use crate::program::{Addresses, Trunkd, logs};
use crate::support::app::{eventually, switch_toml};
use crate::support::fake_switch::{Binding, Carrier, FakeSwitch};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::verdict::{self, Listed};

/// What FreeSWITCH has on disk, as written by `trunkd render --no-gateways`, so that it can boot
/// without any trunkd.
const DISK: &str = r#"<configuration name="sofia.conf"><profiles>
<profile name="external"><settings/><gateways/></profile>
<profile name="internal"><settings/><gateways/></profile>
</profiles></configuration>"#;

/// After a failure no further schedule begins.
static FAILED: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) fault: Fault,
    pub(crate) trunkds: usize,
    pub(crate) listed: Listed,
}

/// Everything that a fault can affect.
pub(crate) struct World {
    pub(crate) redis: RedisServer,
    /// Between trunkd and Redis
    pub(crate) proxy: Proxy,
    pub(crate) switch: Arc<FakeSwitch>,
    /// Of [`crate::life::TRUNKS`]
    pub(crate) carrier: Carrier,
    pub(crate) trunkds: Vec<Trunkd>,
    pub(crate) addresses: Addresses,
    pub(crate) editor: Arc<Mutex<Editor>>,
    /// Where the switch asks: the first trunkd that answers, as with several bindings.
    _balancer: Proxy,
}

/// Plays the requested number of schedules, or the one with the given seed.
pub(crate) fn play<F>(name: &str, act: impl Fn(StdRng, PathBuf) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let asked = |name: &str| Some(std::env::var(name).ok()?.parse().expect("a number"));
    let seed: Option<u64> = asked("TRUNKD_CHAOS_SEED");
    let in_all = asked("TRUNKD_CHAOS_IN_ALL").map(|all: u64| all.div_ceil(crate::TESTS as u64));
    let count = in_all.or(asked("TRUNKD_CHAOS_SCHEDULES")).unwrap_or(1);
    for _ in 0..seed.map_or(count, |_| 1) {
        if FAILED.load(Ordering::Relaxed) {
            println!("{name}: given up, another schedule failed");
            return;
        }
        play_one(name, &act, seed.unwrap_or_else(rand::random));
    }
}

fn play_one<F>(name: &str, act: impl Fn(StdRng, PathBuf) -> F, seed: u64)
where
    F: Future<Output = ()> + Send + 'static,
{
    println!("{name}: seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let playing = act(StdRng::seed_from_u64(seed), folder.path().to_owned());
    let ended = runtime.block_on(async { tokio::spawn(playing).await });
    if let Err(panicked) = ended {
        FAILED.store(true, Ordering::Relaxed);
        let payload = panicked.into_panic();
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(payload.downcast_ref::<&str>().copied());
        panic!(
            "seed {seed} failed: {}\nto play it again: TRUNKD_CHAOS_SEED={seed} cargo test --test chaos {name}\n{}",
            said.unwrap_or_default(),
            logs(folder.path()),
        );
    }
}

pub(crate) async fn act(schedule: Schedule, mut random: StdRng, folder: PathBuf) {
    let fault = schedule.fault;
    let mut world = World::start(schedule, &mut random, &folder).await;
    verdict::wait_for_agreement(&world).await;
    world.wait_for_last_good_states().await;
    let heard_from = world.gateway_events();
    let life = Life::start(&world, &mut random);
    pause(&mut random, 300..1000).await;

    fault.strike(&mut world, &mut random).await;

    pause(&mut random, 200..800).await;
    life.calm_down(&world).await;
    verdict::wait_for_agreement(&world).await;
    past::wait_for_agreement(&world).await;
    verdict::wait_for_list(&world, schedule.listed, heard_from).await;
    verdict::assert_kind_to_carriers(&world, fault).await;
    let published = life.end().await;
    if fault.keeps_the_data_of_redis() {
        verdict::assert_no_event_twice(&published);
    }
    for trunkd in &mut world.trunkds {
        trunkd.must_not_have_ended();
    }
}

/// For a random time, in milliseconds
pub(crate) async fn pause(random: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(milliseconds))).await;
}

impl World {
    async fn start(schedule: Schedule, random: &mut StdRng, folder: &Path) -> Self {
        let Schedule { fault, trunkds, .. } = schedule;
        let redis = RedisServer::start_with_aof().await;
        let server = redis.address().parse().unwrap();
        let proxy = Proxy::start(move || vec![server]).await;
        let addresses = Addresses::default();
        let mut editor = Editor::new(&redis, &addresses, StdRng::from_rng(random));
        editor.begin(&redis).await;

        let alive = addresses.clone();
        let balancer = Proxy::start(move || alive.all()).await;
        let binding = Binding {
            timeout: Some(Duration::from_secs(5)),
            ..Binding::new(format!("http://{}/xml_curl", balancer.address()))
        };
        let carrier = Carrier::new(HOST);
        TRUNKS.iter().for_each(|trunk| carrier.account(trunk, PASSWORD));
        let switch = FakeSwitch::builder().disk(DISK).xml_curl(binding).carrier(&carrier);
        let switch = switch.start().await;

        let url = match fault.needs_the_proxy() {
            true => format!("redis://{}", proxy.address()),
            false => redis.url(),
        };
        let settings = format!("{}{}", settings(fault), switch_toml(&switch, "fs1"));
        let mut all = Vec::new();
        for _ in 0..trunkds {
            let mut trunkd = Trunkd::new(folder, &url, &settings, &addresses);
            trunkd.start().await;
            all.push(trunkd);
        }
        switch
            .wait_until("every trunkd listens to events", |view| view.listeners() == trunkds)
            .await;
        Self {
            redis,
            proxy,
            switch: Arc::new(switch),
            carrier,
            trunkds: all,
            addresses,
            editor: Arc::new(Mutex::new(editor)),
            _balancer: balancer,
        }
    }

    /// Waits until every trunkd would have something to serve after a restart, even without Redis.
    async fn wait_for_last_good_states(&self) {
        eventually(
            "each trunkd has kept a state",
            async || self.trunkds.iter().all(Trunkd::has_kept_a_state),
            |kept| *kept,
        )
        .await;
    }

    /// How many events about gateways the switch has sent
    fn gateway_events(&self) -> usize {
        self.switch.view(|view| verdict::sent(view).len())
    }
}

fn settings(fault: Fault) -> String {
    let resync = fault.resync_interval();
    format!(
        "[status]\nchannel = \"gateway-events\"\nlist = \"gateway-list\"\n\
         [reconcile]\nmode = \"apply\"\nresync_interval = {resync:?}\nmax_removals = 1000\nstarts_per_second = 1000\n\
         verify_within = \"2s\"\ncanary_from = 3\npark_after = {PARK_AFTER}\n\
         [[carrier]]\nname = {HOST:?}\nregisters_per_second = {PER_SECOND}\n"
    )
}
