//! The pages. Thin: they parse a request, call `operate`, and render HTML.
//!
//! Every page works without JavaScript; `static/app.js` only keeps what is shown up to date and makes
//! forms more comfortable. Never holds decisions or Redis, and never uses `api`.

mod address;
mod assets;
mod carriers;
mod change;
mod chip;
mod failure;
mod forecast;
mod gateway;
mod gateways;
mod guard;
mod history;
mod import;
mod kept;
mod language;
mod page;
mod people;
mod plan;
mod routes;
mod runbooks;
mod sentence;
mod setup;
mod sign_in;
mod switches;
mod texts;
mod words;

pub use routes::configure;
