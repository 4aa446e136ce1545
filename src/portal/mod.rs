//! The listener of people and programs: its socket, the networks that may connect, who is signed in, and
//! how errors look. `api` and `web` register what it serves.
//!
//! Never holds decisions, routes or Redis.

mod cookie;
mod guard;
mod language;
mod list_params;
mod problem;
mod server;

pub(crate) use cookie::{no_session_cookie, peer, session_cookie};
pub(crate) use guard::{COOKIE, Credential, SignedIn, authenticate, caller, check_origin, remembered};
pub(crate) use language::{accepted, asked};
pub(crate) use list_params::{ListParams, MAX_PAGE, page_limit, words};
pub(crate) use problem::Problem;
pub use server::{Portal, PortalError};
