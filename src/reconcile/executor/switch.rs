//! What the executor needs of a switch, and of the desired gateways.
//!
//! Traits, because `reconcile` and `ingest` are on one floor and don't know each other.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::event_socket::{Changes, Commands, QueryError};
use crate::gateway::{Desired, GatewayName, RevisionKey};
use crate::reconcile::plan::Known;

/// A switch, as the executor needs it.
pub trait Switch: Send + Sync + 'static {
    fn name(&self) -> &str;
    /// Whether what runs is known in full.
    fn is_known(&self) -> bool;
    /// Brings `known`, which is the only one that is ever brought up to date, to what runs.
    fn learn(&self, known: &mut Known) -> Result<Learned, Unknown>;
    /// Which live gateway of that name it has, if any: a number that its successor does not share. `Err` while nobody can tell.
    fn instance(&self, gateway: &GatewayName) -> Result<Option<u64>, Unknown>;
    /// Tells of every change of these three.
    fn changed(&self) -> watch::Receiver<u64>;
    /// The connection for commands.
    fn commands(&self) -> Option<(Commands, Changes)>;
    /// Asks for the revisions of live gateways, and remembers the answers.
    fn ask_revisions(
        &self,
        commands: &Commands,
        gateways: &[GatewayName],
    ) -> impl Future<Output = Result<Vec<Option<String>>, QueryError>> + Send;
    /// Something is not as it was thought.
    fn survey_soon(&self);
    /// Nothing can be changed on it until what runs there was read again.
    fn not_ready(&self);
}

/// What is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// Everything
    Anew,
    /// These gateways; with the profiles and the ghosts, which are few.
    Changes(Vec<GatewayName>),
}

/// The switch is not connected, or not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

/// Where the desired gateways come from.
pub trait Wanting: Send + Sync + 'static {
    /// What Redis wants now; `None` when it cannot be read.
    fn wanted(&self) -> impl Future<Output = Option<Wanted>> + Send;
    /// Tells that it may have changed.
    fn changed(&self) -> watch::Receiver<u64>;
}

pub struct Wanted {
    pub desired: Arc<Desired>,
    pub key: RevisionKey,
}
