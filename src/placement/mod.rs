//! Which switch has a gateway that runs on exactly one: `"placement": "one"`.
//!
//! `choose` and `decide` are pure. The placer carries out what they decide, by compare-and-set on a record
//! of each gateway in `trunkd:placement`; the executors then start and kill, for they are served by these
//! records. One trunkd at a time places: the holder of the lease.

mod choose;
mod decide;
mod placer;

pub use choose::choose;
pub use decide::{Change, Input, Lane, Life, Patience, Runs, SwitchState, decide};
pub use placer::{Fleet, Placer, PlacerContext, Seen};
