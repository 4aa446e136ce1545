//! The page of one gateway, its form, and what one can do with it.

mod actions;
mod calls;
mod changes;
mod form;
mod placed;
mod review;
mod rich;
mod show;
mod timeline;

pub(super) use actions::act;
pub(super) use changes::{EffectRow, effect_rows};
pub(super) use form::{check, edit, new, submit_edit, submit_new};
pub(super) use rich::Rich;
pub(super) use show::view;
