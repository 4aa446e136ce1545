//! How much of each carrier's pace is in use, by all switches: `trunkd:pace:<carrier>`. The lease holder
//! of a switch writes what that switch uses, and gets what is left.

use std::sync::LazyLock;
use std::time::Duration;

use crate::carriers::Usage;
use crate::keys;
use crate::redis::{Store, StoreError, script_with_now};
use crate::settings::CarrierSettings;

/// Longer than a REGISTER is pending. So what a trunkd that died has caused is counted until it is sent.
const LASTS: Duration = Duration::from_secs(12);

impl Store {
    /// How many of `wanted` REGISTERs at a carrier a switch may cause now. `usage` is what it causes
    /// already; the granted ones are added to it.
    ///
    /// # Errors
    /// [`StoreError`]. Then none may be caused.
    pub async fn take_pace(
        &self,
        carrier: &CarrierSettings,
        switch: &str,
        usage: Usage,
        wanted: usize,
    ) -> Result<usize, StoreError> {
        static TAKE: LazyLock<redis::Script> = LazyLock::new(|| script_with_now(include_str!("pace.lua")));
        let mut call = TAKE.key(keys::pace(&carrier.name.to_lowercase()));
        call.arg(switch)
            .arg(&[usage.recent, usage.pending, usage.in_flight, wanted])
            .arg(carrier.registers_per_second.unwrap_or(0))
            .arg(carrier.registers_in_flight.unwrap_or(0))
            .arg(LASTS.as_millis());
        self.write("take pace", self.timeout(), async |connection| {
            call.invoke_async(connection).await
        })
        .await
    }
}
