//! The gateways of a fleet, and what people do to them: they edit, drain and undrain.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DOMAIN, Fleet, HOST, Master, NAMES};
use crate::schedule::pause;
use crate::support::app::Other;

const GATEWAYS: usize = 14;
/// The last ones run on all switches now and then.
const ON_ONE: usize = 11;

/// Goes on until its end.
pub(super) struct Unrest {
    over: CancellationToken,
    task: JoinHandle<()>,
}

pub(super) async fn begin(other: &Other, random: &mut StdRng) {
    for number in 0..GATEWAYS {
        let (name, value) = (name(number), value(number, random));
        other.set_gateway(DOMAIN, &name, &value.to_string()).await;
    }
}

pub(super) fn is_always_on_one(gateway: &str) -> bool {
    (0..ON_ONE).any(|number| name(number) == gateway)
}

impl Unrest {
    pub(super) fn start(fleet: &Fleet, random: &mut StdRng) -> Self {
        let over = CancellationToken::new();
        let (master, until, mut random) = (fleet.master.clone(), over.clone(), StdRng::from_rng(random));
        let task = tokio::spawn(async move {
            while !until.is_cancelled() {
                // What Redis doesn't take is not retried: the verdict reads what it has.
                let _ = change(&master, &mut random).await;
                pause(&mut random, 100..1500).await;
            }
        });
        Self { over, task }
    }

    pub(super) async fn end(self) {
        self.over.cancel();
        self.task.await.unwrap();
    }
}

async fn change(master: &Master, random: &mut StdRng) -> redis::RedisResult<()> {
    let address = *master.lock().unwrap();
    let client = redis::Client::open(format!("redis://{address}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    match random.random_range(0..3) {
        0 => {
            let number = random.random_range(0..GATEWAYS);
            let value = value(number, random).to_string();
            let mut edit = redis::cmd("HSET");
            edit.arg(format!("cti_gateway@{DOMAIN}")).arg(name(number)).arg(value);
            edit.exec_async(&mut connection).await
        }
        1 => drain(&mut connection, NAMES.choose(random).unwrap()).await,
        _ => undrain(&mut connection).await,
    }
}

/// This one alone, as `trunkd drain` does it
pub(super) async fn drain(connection: &mut MultiplexedConnection, switch: &str) -> redis::RedisResult<()> {
    undrain(connection).await?;
    let mut drain = redis::cmd("HSET");
    drain.arg("trunkd:control").arg(format!("drained:{switch}"));
    let value = json!({"at": "2026-11-26T12:00:00Z", "by": "cli:chaos"});
    drain.arg(value.to_string()).exec_async(connection).await
}

pub(super) async fn undrain(connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
    let mut undrain = redis::cmd("HDEL");
    undrain.arg("trunkd:control");
    undrain.arg(NAMES.map(|name| format!("drained:{name}")).to_vec());
    undrain.exec_async(connection).await
}

fn name(number: usize) -> String {
    format!("gw{number}")
}

/// Any that the gateway may have
fn value(number: usize, random: &mut StdRng) -> Value {
    let mut value = json!({
        "param": {"realm": HOST, "username": name(number), "password": "p", "retry-seconds": "5"},
        "placement": "one",
    });
    let mut some = NAMES.to_vec();
    some.shuffle(random);
    some.truncate(random.random_range(1..=NAMES.len()));
    if number >= ON_ONE && random.random_bool(0.5) {
        value["placement"] = "all".into();
    } else if random.random_bool(0.3) {
        let failback = *["manual", "after 1s", "after 3s"].choose(random).unwrap();
        value["placement"] = json!({"mode": "one", "prefer": some, "failback": failback});
    } else if random.random_bool(0.3) {
        value["nodes"] = json!(some);
    }
    value
}
