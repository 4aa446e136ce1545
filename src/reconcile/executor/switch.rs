//! What the executor needs of a switch, and of the desired gateways.
//!
//! These are traits because `reconcile` and `ingest` must not depend on each other, and so that tests
//! can wait on a fake switch.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::carriers::Attempt;
use crate::event_socket::{Changes, Commands, QueryError};
use crate::gateway::{Desired, GatewayName, RevisionKey};
use crate::reconcile::plan::Known;

/// A switch, as the executor needs it.
pub trait Switch: Send + Sync + 'static {
    fn name(&self) -> &str;
    /// Whether the state of the switch is completely known.
    fn is_known(&self) -> bool;
    /// Updates `known` to what runs. Always called with the same `known`, since only changes are applied.
    fn refresh(&self, known: &mut Known) -> Result<Refreshed, Unknown>;
    /// The instance number of the live gateway of that name; its successor gets another one. `Err` while
    /// the state of the switch is not known.
    fn instance(&self, gateway: &GatewayName) -> Result<Option<u64>, Unknown>;
    /// What is known of the registration of the live gateway of that name.
    fn attempt(&self, gateway: &GatewayName) -> Option<Attempt>;
    /// Changes whenever one of those above changes.
    fn changed(&self) -> watch::Receiver<u64>;
    /// The connection for commands.
    fn commands(&self) -> Option<(Commands, Changes)>;
    /// Reads the revisions of live gateways and remembers them.
    fn ask_revisions(
        &self,
        commands: &Commands,
        gateways: &[GatewayName],
    ) -> impl Future<Output = Result<Vec<Option<String>>, QueryError>> + Send;
    /// Reads the switch again, because something is not as expected.
    fn survey_soon(&self);
    /// Marks the switch as unknown until it has been read again.
    fn not_ready(&self);
}

/// What changed in `Known`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// Anything may have changed.
    All,
    /// These gateways changed, and possibly profiles and ghosts.
    Changes(Vec<GatewayName>),
}

/// The switch is not connected or not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

/// Where the desired gateways come from.
pub trait DesiredSource: Send + Sync + 'static {
    /// The desired gateways; `None` when Redis cannot be read.
    fn wanted(&self) -> impl Future<Output = Option<Wanted>> + Send;
    /// Changes whenever the desired gateways may have changed.
    fn changed(&self) -> watch::Receiver<u64>;
}

pub struct Wanted {
    pub desired: Arc<Desired>,
    pub key: RevisionKey,
}
