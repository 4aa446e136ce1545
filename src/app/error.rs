//! Why trunkd cannot start or go on.

use std::io;
use std::net::SocketAddr;

use super::tasks::EndedEarly;
use crate::data_dir::DataDirError;
use crate::embedded::EmbeddedError;
use crate::gateway::NameError;
use crate::http::BindError;
use crate::redis::StoreError;
use crate::settings::SettingsError;
use crate::sofia_conf::TemplateError;

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Templates(#[from] TemplateError),
    #[error("templates.default_profile: {0}")]
    DefaultProfile(NameError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error(transparent)]
    Http(#[from] BindError),
    #[error("cannot listen on {address}: {source}; choose another http.listen, or stop what listens there")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    EndedEarly(#[from] EndedEarly),
}
