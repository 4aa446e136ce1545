//! Reads and checks the templates of a folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::configuration::read_sofia_conf;
use super::error::{TemplateError, TemplateWarning};
use super::file::TemplateFile;
use super::parts::{LoadState, Part, Profile};
use super::profiles::profile_parts;
use crate::carriers::Carriers;
use crate::gateway::{ProfileName, Rules};

/// The most profile files that are read. FreeSWITCH runs a thread and opens a port for each profile.
const MAX_FILES: usize = 1000;

/// The most warnings that are reported: a file may have a hundred thousand odd lines.
const MAX_WARNINGS: usize = 200;

/// The templates, read and checked.
#[derive(Debug, Clone)]
pub struct Templates {
    dir: PathBuf,
    /// `sofia.conf.xml` up to the content of `<profiles>`, and from `</profiles>` on.
    pub(in crate::sofia_conf) head: String,
    pub(in crate::sofia_conf) tail: String,
    /// What goes between the two, in order.
    pub(in crate::sofia_conf) parts: Vec<Part>,
    warnings: Vec<TemplateWarning>,
    pub(in crate::sofia_conf) carriers: Carriers,
}

impl Templates {
    /// Reads `sofia.conf.xml` and `sip_profiles/*.xml` of a folder, the profile files sorted by name.
    pub fn load(dir: &Path) -> Result<Templates, TemplateError> {
        let mut state = LoadState::default();
        let (head, mut parts, tail) = read_sofia_conf(dir, &mut state)?;
        let profiles_dir = dir.join("sip_profiles");
        for path in profile_files(&profiles_dir)? {
            let file = TemplateFile::read(&path, &mut state)?;
            parts.extend(profile_parts(&file, &mut state)?);
        }
        let mut warnings = state.warnings;
        warnings.sort_unstable();
        warnings.dedup();
        limit_warnings(&mut warnings);
        let templates = Templates {
            dir: dir.to_owned(),
            head,
            tail,
            parts,
            warnings,
            carriers: Carriers::default(),
        };
        if templates.profiles().next().is_none() {
            return Err(TemplateError::of_file(
                &profiles_dir,
                "there is no profile in this folder",
                "put a FreeSWITCH profile file there, such as external.xml",
            ));
        }
        Ok(templates)
    }

    /// The same, for gateways of these carriers.
    pub fn with_carriers(self, carriers: Carriers) -> Self {
        Self { carriers, ..self }
    }

    pub(in crate::sofia_conf) fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.parts.iter().filter_map(|part| match part {
            Part::Profile(profile) => Some(profile),
            Part::Text(_) => None,
        })
    }

    /// In the order in which FreeSWITCH reads them.
    pub fn profile_names(&self) -> impl Iterator<Item = &ProfileName> {
        self.profiles().map(|profile| &profile.name)
    }

    /// The rules that gateways are checked against. Fails if no template defines `default_profile`.
    pub fn rules(&self, default_profile: &ProfileName) -> Result<Rules, TemplateError> {
        let profiles: BTreeMap<_, _> = self
            .profiles()
            .map(|profile| (profile.name.clone(), profile.facts.clone()))
            .collect();
        if profiles.contains_key(default_profile) {
            return Ok(Rules::new(default_profile.clone(), profiles));
        }
        let known: Vec<_> = profiles.keys().map(ProfileName::as_str).collect();
        Err(TemplateError::of_file(
            &self.dir.join("sip_profiles"),
            format!("there is no template for the default profile '{default_profile}'"),
            format!(
                "add one, or set templates.default_profile to one of {}",
                known.join(", ")
            ),
        ))
    }

    /// Sorted by file and line.
    pub fn warnings(&self) -> &[TemplateWarning] {
        &self.warnings
    }
}

fn limit_warnings(warnings: &mut Vec<TemplateWarning>) {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    warnings.truncate(MAX_WARNINGS);
    if let (1.., Some(last)) = (more, warnings.last().cloned()) {
        warnings.push(TemplateWarning {
            reason: format!("{more} more warnings follow that are not listed"),
            fix: "fix those above first".to_owned(),
            ..last
        });
    }
}

/// The profile files of a folder, sorted.
fn profile_files(dir: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let unreadable = |error: &io::Error| {
        TemplateError::of_file(
            dir,
            format!("the folder can't be read: {error}"),
            "make it, and put FreeSWITCH's profile files there",
        )
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
        return Err(TemplateError::of_file(
            dir,
            format!(
                "the folder has {} profile files; at most {MAX_FILES} are read",
                files.len()
            ),
            "keep only the profiles that FreeSWITCH is to have",
        ));
    }
    files.sort();
    Ok(files)
}
