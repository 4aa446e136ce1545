//! What mod_xml_curl asks → what FreeSWITCH reads.
//!
//! A form becomes a typed [`Request`], and a request for `sofia.conf` becomes a [`Response`]. Its
//! contents come through [`ConfigSource`]; nothing here knows Redis, the event socket, or the HTTP
//! server that carries the bytes.
//!
//! FreeSWITCH reads only a response with status 200. At any other status, and at a "not found", it
//! uses the XML on its disk (FACTS 7). So "not found" is only for what trunkd does not serve: a
//! gateway that does not exist gets a document without it.

mod answer;
mod cache;
mod request;
mod response;
mod source;
mod unknown_switches;

pub use answer::answer;
pub use cache::DocumentCache;
pub use request::{BadRequest, Request, RequestKind, RequestedGateway, SofiaConfRequest};
pub use response::{FREESWITCH_MAX_BYTES, RequestOutcome, Response};
pub use source::{ConfigSource, CurrentConfig, Unavailable};
pub use unknown_switches::UnknownSwitches;
