//! The parts that templates are split into.

use std::collections::HashMap;

use super::error::TemplateWarning;
use crate::gateway::{GatewayName, ProfileFacts, ProfileName};

/// A part of the content of `<profiles>`.
#[derive(Debug, Clone)]
pub(in crate::sofia_conf) enum Part {
    /// Text between profiles: comments and directives. It is part of every document.
    Text(String),
    Profile(Profile),
}

/// A profile as its file has it.
#[derive(Debug, Clone)]
pub(in crate::sofia_conf) struct Profile {
    pub(in crate::sofia_conf) name: ProfileName,
    pub(in crate::sofia_conf) facts: ProfileFacts,
    /// The whole `<profile>`, for a document without gateways of ours in it.
    pub(in crate::sofia_conf) untouched: String,
    /// The text before and after our gateways.
    pub(in crate::sofia_conf) before: String,
    pub(in crate::sofia_conf) after: String,
    /// Indentation of our `<gateway>` lines.
    pub(in crate::sofia_conf) indent: String,
    /// Gateways of the template itself: name and `<gateway>` element.
    pub(in crate::sofia_conf) own_gateways: Vec<(GatewayName, String)>,
    /// The content of the template's `<gateways>`.
    pub(in crate::sofia_conf) own_section: String,
    /// Whether directives in there insert gateways that we can't see.
    pub(in crate::sofia_conf) own_section_has_more: bool,
}

/// What is collected over all files while they are read.
#[derive(Default)]
pub(super) struct LoadState {
    pub(super) warnings: Vec<TemplateWarning>,
    /// Bytes read so far.
    pub(super) bytes: u64,
    /// Lower-case name → `file:line`. FreeSWITCH ignores case in profile names.
    pub(super) profiles: HashMap<String, String>,
    /// Name → `file:line`. Gateway names are unique over all profiles (FACTS 18).
    pub(super) gateways: HashMap<GatewayName, String>,
}
