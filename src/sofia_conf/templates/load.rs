//! The operator's own FreeSWITCH files: `sofia.conf.xml` and `sip_profiles/*.xml`.
//!
//! They pass through byte for byte. What is found out here is where our gateways go in, what FreeSWITCH's rules need to
//! know of a profile, and what FreeSWITCH will not do as it reads.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file::{TemplateFile, read_sofia_conf};
use crate::gateway::{GatewayName, ProfileFacts, ProfileName, Rules};

/// The most profile files of a folder. Each profile is a thread and a port of FreeSWITCH's.
const MAX_FILES: usize = 1000;

/// The most warnings that are listed.
const MAX_WARNINGS: usize = 200;

/// Why the templates can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}; {mend}", Place { file: file.display(), line: *line, column: *column })]
pub struct TemplateError {
    pub file: PathBuf,
    /// Counted from 1; `None` when it is about the whole file.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    pub reason: String,
    pub mend: String,
}

/// Something in a template that FreeSWITCH will not do as it reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[error("{}: {reason}; {mend}", Place { file: file.display(), line: Some(*line), column: None })]
pub struct TemplateWarning {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
    pub mend: String,
}

/// `file:line:column`, as compilers write it and editors understand it.
struct Place<D> {
    file: D,
    line: Option<usize>,
    column: Option<usize>,
}

impl<D: fmt::Display> fmt::Display for Place<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

/// The templates, read and checked.
#[derive(Debug, Clone)]
pub struct Templates {
    dir: PathBuf,
    /// `sofia.conf.xml` up to and with what stands in its `<profiles>`, and from `</profiles>` on.
    pub(in crate::sofia_conf) head: String,
    pub(in crate::sofia_conf) tail: String,
    /// What stands between the two, in order.
    pub(in crate::sofia_conf) parts: Vec<Part>,
    warnings: Vec<TemplateWarning>,
}

/// A piece of what goes into `<profiles>`.
#[derive(Debug, Clone)]
pub(in crate::sofia_conf) enum Part {
    /// What an operator wrote beside the profiles: comments, directives. Goes along with any of them.
    Text(String),
    Profile(Profile),
}

/// A profile as it stands in its file.
#[derive(Debug, Clone)]
pub(in crate::sofia_conf) struct Profile {
    pub(in crate::sofia_conf) name: ProfileName,
    pub(in crate::sofia_conf) facts: ProfileFacts,
    /// The whole `<profile>`, when there is nothing to put in.
    pub(in crate::sofia_conf) untouched: String,
    /// The same, up to where our gateways go in and from there on.
    pub(in crate::sofia_conf) before: String,
    pub(in crate::sofia_conf) after: String,
    /// What our `<gateway>` lines are indented by.
    pub(in crate::sofia_conf) indent: String,
    /// Gateways that stand in the template: name, and the `<gateway>` element as it stands.
    pub(in crate::sofia_conf) own_gateways: Vec<(GatewayName, String)>,
    /// What stands between the template's `<gateways>` and `</gateways>`.
    pub(in crate::sofia_conf) own_section: String,
    /// Whether directives in that section bring in gateways that we can't see.
    pub(in crate::sofia_conf) own_section_has_more: bool,
}

impl Templates {
    /// Reads `sofia.conf.xml` and `sip_profiles/*.xml` of a folder, the latter sorted by name.
    pub fn load(dir: &Path) -> Result<Templates, TemplateError> {
        let mut loading = Loading::default();
        let (head, mut parts, tail) = read_sofia_conf(dir, &mut loading)?;
        let profiles_dir = dir.join("sip_profiles");
        for path in profile_files(&profiles_dir)? {
            let file = TemplateFile::read(&path, &mut loading)?;
            parts.extend(file.profile_parts(&mut loading)?);
        }
        let mut warnings = loading.warnings;
        warnings.sort_unstable();
        warnings.dedup();
        bound_warnings(&mut warnings);
        let templates = Templates {
            dir: dir.to_owned(),
            head,
            tail,
            parts,
            warnings,
        };
        if templates.profiles().next().is_none() {
            return Err(TemplateError {
                file: profiles_dir,
                line: None,
                column: None,
                reason: "there is no profile in this folder".to_owned(),
                mend: "put a FreeSWITCH profile file there, such as external.xml".to_owned(),
            });
        }
        Ok(templates)
    }

    pub(in crate::sofia_conf) fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.parts.iter().filter_map(|part| match part {
            Part::Profile(profile) => Some(profile),
            Part::Text(_) => None,
        })
    }

    /// In the order in which FreeSWITCH gets them.
    pub fn profile_names(&self) -> impl Iterator<Item = &ProfileName> {
        self.profiles().map(|profile| &profile.name)
    }

    /// What gateways are checked against. An error when there is no template for `default_profile`.
    pub fn rules(&self, default_profile: &ProfileName) -> Result<Rules, TemplateError> {
        let profiles: BTreeMap<_, _> = self
            .profiles()
            .map(|profile| (profile.name.clone(), profile.facts.clone()))
            .collect();
        if profiles.contains_key(default_profile) {
            return Ok(Rules::new(default_profile.clone(), profiles));
        }
        let known: Vec<_> = profiles.keys().map(ProfileName::as_str).collect();
        Err(TemplateError {
            file: self.dir.join("sip_profiles"),
            line: None,
            column: None,
            reason: format!("there is no template for the default profile '{default_profile}'"),
            mend: format!(
                "add one, or set templates.default_profile to one of {}",
                known.join(", ")
            ),
        })
    }

    /// Sorted by file and line.
    pub fn warnings(&self) -> &[TemplateWarning] {
        &self.warnings
    }
}

/// What is gathered over all files.
#[derive(Default)]
pub(in crate::sofia_conf) struct Loading {
    pub(in crate::sofia_conf) warnings: Vec<TemplateWarning>,
    /// How much was read.
    pub(in crate::sofia_conf) bytes: u64,
    /// Lower-case name → where it was met: FreeSWITCH compares profile names in any case.
    pub(in crate::sofia_conf) profiles: HashMap<String, String>,
    /// FreeSWITCH knows a gateway's name once, over all profiles (FACTS 18).
    pub(in crate::sofia_conf) gateways: HashMap<GatewayName, String>,
}

/// A file of a hundred thousand odd lines is not told line by line.
fn bound_warnings(warnings: &mut Vec<TemplateWarning>) {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    warnings.truncate(MAX_WARNINGS);
    if let (1.., Some(last)) = (more, warnings.last().cloned()) {
        warnings.push(TemplateWarning {
            reason: format!("{more} more warnings follow that are not listed"),
            mend: "see to those above first".to_owned(),
            ..last
        });
    }
}

/// The profile files of a folder, sorted.
fn profile_files(dir: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let unreadable = |error: &io::Error| TemplateError {
        file: dir.to_owned(),
        line: None,
        column: None,
        reason: format!("the folder can't be read: {error}"),
        mend: "make it, and put FreeSWITCH's profile files there".to_owned(),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".xml") && !name.starts_with('.') && !path.is_dir() {
            files.push(path);
        }
    }
    if files.len() > MAX_FILES {
        return Err(TemplateError {
            file: dir.to_owned(),
            line: None,
            column: None,
            reason: format!(
                "the folder has {} profile files; at most {MAX_FILES} are read",
                files.len()
            ),
            mend: "keep only the profiles that FreeSWITCH is to have".to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
