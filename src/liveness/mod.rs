//! Which switches are alive. Each trunkd watches each switch in two ways, the event socket and SIP
//! OPTIONS, and shares what it sees through Redis; from what all see, each comes to the same verdict.
//!
//! Changes no switch and moves no gateway.

mod options;
mod verdict;

pub use verdict::{CutOff, Judge, Judgement, Life, Rules, Verdict, Why};
