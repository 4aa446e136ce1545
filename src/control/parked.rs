//! Gateways that are parked on a switch, and carriers that are out there: `trunkd:parked:<switch>` and
//! `trunkd:carriers-out:<switch>`. Only the lease holder writes them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;

use crate::carriers::{CarrierOut, Parked};
use crate::gateway::GatewayName;
use crate::history::{Entry, History, RECORD_LUA};
use crate::keys;
use crate::redis::{Store, StoreError};

/// What is parked on a switch, and what is out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parking {
    pub gateways: BTreeMap<GatewayName, Parked>,
    /// By carrier.
    pub carriers_out: BTreeMap<String, CarrierOut>,
}

impl Store {
    /// Values that this version can't read are left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_parking(&self, switch: &str) -> Result<Parking, StoreError> {
        let (gateways, carriers): (BTreeMap<String, String>, BTreeMap<String, String>) = self
            .read("read parking", self.timeout(), async |connection| {
                redis::pipe()
                    .cmd("HGETALL")
                    .arg(keys::parked(switch))
                    .cmd("HGETALL")
                    .arg(keys::carriers_out(switch))
                    .query_async(connection)
                    .await
            })
            .await?;
        let gateways = gateways.iter();
        let carriers = carriers.into_iter();
        Ok(Parking {
            gateways: gateways
                .filter_map(|(name, value)| Some((GatewayName::parse(name).ok()?, parse(value)?)))
                .collect(),
            carriers_out: carriers
                .filter_map(|(name, value)| Some((name, parse(&value)?)))
                .collect(),
        })
    }

    /// Parks a gateway, or changes how it is parked; `None` unparks it. With an entry of the history, if there is
    /// anything to tell.
    pub(crate) async fn set_parked(
        &self,
        history: &History,
        switch: &str,
        gateway: &GatewayName,
        parked: Option<&Parked>,
        entry: Option<&Entry>,
    ) -> Result<(), StoreError> {
        let value = parked.map(json);
        self.set_with_entry(history, keys::parked(switch), gateway.as_str(), value, entry)
            .await
    }

    /// A carrier is out on a switch, or back.
    pub(crate) async fn set_carrier_out(
        &self,
        history: &History,
        switch: &str,
        carrier: &str,
        out: Option<&CarrierOut>,
        entry: Option<&Entry>,
    ) -> Result<(), StoreError> {
        let value = out.map(json);
        self.set_with_entry(history, keys::carriers_out(switch), carrier, value, entry)
            .await
    }

    /// Sets or deletes a field, and records the entry, in one step.
    async fn set_with_entry(
        &self,
        history: &History,
        key: String,
        field: &str,
        value: Option<String>,
        entry: Option<&Entry>,
    ) -> Result<(), StoreError> {
        static SET: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}
                 if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
                 else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
                 if ARGV[3] ~= '' then record(KEYS[2], KEYS[3], ARGV[3], '', ARGV[4], ARGV[5], ARGV[6]) end"
            ))
        });
        let prepared = entry.map(|entry| history.prepare(entry));
        let mut call = SET.key(key);
        call.key(keys::HISTORY);
        match &prepared {
            Some(prepared) => call
                .key(&prepared.of_gateway)
                .arg(field)
                .arg(value.unwrap_or_default())
                .arg(&prepared.entry)
                .arg(prepared.entries)
                .arg(prepared.age_ms)
                .arg(prepared.per_gateway),
            None => call.key("").arg(field).arg(value.unwrap_or_default()).arg(""),
        };
        self.write("set parking", self.timeout(), async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // Strings, numbers and times always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(value: &str) -> Option<T> {
    serde_json::from_str(value).ok()
}
