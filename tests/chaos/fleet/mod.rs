//! Three switches, two trunkd, and gateways that run on exactly one switch. One schedule: the fleet settles, it is
//! edited and drained while a fault strikes, it calms down, and then each gateway is where its record says.

mod faults;
mod unrest;
mod verdict;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;

use crate::program::{Addresses, Trunkd};
use crate::schedule::pause;
use crate::support::app::{Other, switch_toml};
use crate::support::fake_switch::{Binding, Carrier, FakeSwitch};
use crate::support::port::free_port;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::relay::Relay;
pub(crate) use faults::Fault;
use unrest::Unrest;
use watch::Watch;

const NAMES: [&str; 3] = ["fs1", "fs2", "fs3"];
const TRUNKDS: usize = 2;
const DOMAIN: &str = "fleet";
const HOST: &str = "fleet.example.net";
/// Slow enough that a move has a middle
const PER_SECOND: usize = 10;

/// What FreeSWITCH has on disk: profiles without gateways, and where they answer OPTIONS
const DISK: &str = r#"<configuration name="sofia.conf"><profiles>
<profile name="external"><settings><param name="sip-port" value="$${external_sip_port}"/></settings><gateways/></profile>
<profile name="internal"><settings><param name="sip-port" value="$${internal_sip_port}"/></settings><gateways/></profile>
</profiles></configuration>"#;

pub(crate) struct Fleet {
    redis: RedisServer,
    /// Between every trunkd and Redis
    proxy: Proxy,
    /// Where Redis is now
    master: Master,
    carrier: Carrier,
    members: Vec<Arc<Member>>,
    trunkds: Vec<Trunkd>,
    addresses: Addresses,
    /// Where switches ask: the first trunkd that answers.
    _balancer: Proxy,
}

/// The address of the Redis that is the master
type Master = Arc<Mutex<std::net::SocketAddr>>;

/// A switch of the fleet, and the networks around it.
struct Member {
    name: &'static str,
    switch: FakeSwitch,
    /// From each trunkd
    links: Vec<Link>,
    /// It doesn't run, or no trunkd can reach it.
    is_lost: AtomicBool,
}

/// The network between one trunkd and one switch
struct Link {
    event_socket: Proxy,
    sip: Relay,
    is_cut: AtomicBool,
}

pub(crate) async fn act(fault: Fault, mut random: StdRng, folder: PathBuf) {
    let mut fleet = Fleet::start(&mut random, &folder).await;
    verdict::wait_for_agreement(&fleet).await;
    let watch = Watch::start(&fleet);
    let unrest = fault.allows_unrest().then(|| Unrest::start(&fleet, &mut random));
    pause(&mut random, 0..500).await;

    fault.strike(&mut fleet, &mut random).await;

    pause(&mut random, 0..500).await;
    if let Some(unrest) = unrest {
        unrest.end().await;
    }
    verdict::wait_for_agreement(&fleet).await;
    verdict::wait_for_rest(&fleet).await;
    watch.end(&fleet).await;
    for trunkd in &mut fleet.trunkds {
        trunkd.must_not_have_ended();
    }
}

impl Fleet {
    async fn start(random: &mut StdRng, folder: &Path) -> Self {
        let redis = RedisServer::start_with_aof().await;
        let master: Master = Arc::new(Mutex::new(redis.address().parse().unwrap()));
        let servers = master.clone();
        let proxy = Proxy::start(move || vec![*servers.lock().unwrap()]).await;
        let addresses = Addresses::default();
        let alive = addresses.clone();
        let balancer = Proxy::start(move || alive.all()).await;
        let carrier = Carrier::new(HOST);
        unrest::begin(&Other::new(&redis).await, random).await;
        let mut members = Vec::new();
        for name in NAMES {
            members.push(Arc::new(Member::start(name, &carrier, &balancer).await));
        }
        let url = format!("redis://{}", proxy.address());
        let mut trunkds = Vec::new();
        for index in 0..TRUNKDS {
            let settings: String = members.iter().map(|member| member.toml(index)).collect();
            let mut trunkd = Trunkd::new(folder, &url, &format!("{}{settings}", settings_of_all()), &addresses);
            trunkd.start().await;
            trunkds.push(trunkd);
        }
        Self {
            redis,
            proxy,
            master,
            carrier,
            members,
            trunkds,
            addresses,
            _balancer: balancer,
        }
    }
}

fn settings_of_all() -> String {
    format!(
        "[reconcile]\nmode = \"apply\"\nresync_interval = \"1h\"\nmax_removals = 1000\n\
         [placement]\nfailover_after = \"2s\"\n\
         [[carrier]]\nname = {HOST:?}\nregisters_per_second = {PER_SECOND}\n"
    )
}

impl Member {
    async fn start(name: &'static str, carrier: &Carrier, balancer: &Proxy) -> Self {
        let binding = Binding {
            timeout: Some(Duration::from_secs(5)),
            ..Binding::new(format!("http://{}/xml_curl", balancer.address()))
        };
        let sip_port = free_port();
        let switch = FakeSwitch::builder()
            .switchname(name)
            .carrier(carrier)
            .sip()
            .global("external_sip_port", &sip_port.to_string())
            .global("internal_sip_port", &free_port().to_string())
            .disk(DISK)
            .start()
            .await;
        switch.set_binding(Some(binding));
        let mut links = Vec::new();
        for _ in 0..TRUNKDS {
            let address = switch.address();
            links.push(Link {
                event_socket: Proxy::start(move || vec![address]).await,
                sip: Relay::start(([127, 0, 0, 1], sip_port).into()).await,
                is_cut: AtomicBool::new(false),
            });
        }
        Self {
            name,
            switch,
            links,
            is_lost: AtomicBool::new(false),
        }
    }

    /// Its settings for one trunkd
    fn toml(&self, trunkd: usize) -> String {
        let link = &self.links[trunkd];
        let toml = switch_toml(&self.switch, self.name);
        let toml = toml.replace(
            &self.switch.address().to_string(),
            &link.event_socket.address().to_string(),
        );
        format!("{toml}sip = \"{}\"\n", link.sip.address())
    }

    /// Whether some trunkd that runs can reach it
    fn is_reachable(&self, addresses: &Addresses) -> bool {
        let links = self.links.iter().enumerate();
        let mut open = links.filter(|(_, link)| !link.is_cut.load(Ordering::SeqCst));
        !self.is_lost.load(Ordering::SeqCst) && open.any(|(trunkd, _)| addresses.of(trunkd).is_some())
    }

    async fn crash(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        self.switch.crash().await;
    }

    async fn boot(&self) {
        self.is_lost.store(false, Ordering::SeqCst);
        self.switch.boot().await;
    }

    /// Of every trunkd; its carriers reach it.
    fn cut_off(&self, cut: bool) {
        self.is_lost.store(cut, Ordering::SeqCst);
        self.switch.cut_off(cut);
    }
}

impl Link {
    fn cut(&self, cut: bool) {
        self.is_cut.store(cut, Ordering::SeqCst);
        self.event_socket.set_open(!cut);
        self.sip.set_open(!cut);
    }
}
