//! Splits `sofia.conf.xml` around its `<profiles>`.

use std::path::Path;

use super::error::TemplateError;
use super::file::{TemplateFile, with_line_end};
use super::outline::Element;
use super::parts::{LoadState, Part};
use super::preprocessor::Directive;
use super::profiles::split_profiles;

/// The text up to the content of `<profiles>`, that content, and the rest.
pub(super) fn read_sofia_conf(dir: &Path, state: &mut LoadState) -> Result<(String, Vec<Part>, String), TemplateError> {
    let file = TemplateFile::read(&dir.join("sofia.conf.xml"), state)?;
    let (at, configuration) = find_configuration(&file)?;
    let profiles = file.outline.child(at, "profiles");
    let tags: Vec<_> = [Some(configuration), profiles.map(|(_, element)| element)]
        .into_iter()
        .flatten()
        .collect();
    let breaks = file.breaks(&tags, &[]);
    file.surviving(&breaks, &tags)?;
    let directives = file.directives(state);
    check_includes(&file, profiles.map(|(_, element)| element), &directives, state);

    let end = file.text.len();
    let (head, parts, tail) = match profiles {
        Some((at, profiles)) if !profiles.is_self_closing() => {
            let (open, close) = (profiles.open.end, file.line_start(profiles.close.start));
            let close = close.max(open);
            let parts = split_profiles(&file, open..close, at, &breaks, &directives, state)?;
            (file.piece(0..open, &breaks), parts, file.piece(close..end, &breaks))
        }
        Some((_, profiles)) => {
            let (before, after) = file.pieces_around(&profiles.open, 0..end, &breaks);
            let head = format!("{before}{}>", file.open_tag_without_slash(profiles));
            (head, Vec::new(), format!("</profiles>{after}"))
        }
        None if configuration.is_self_closing() => {
            let (before, after) = file.pieces_around(&configuration.open, 0..end, &breaks);
            let head = format!("{before}{}>\n  <profiles>", file.open_tag_without_slash(configuration));
            (head, Vec::new(), format!("  </profiles>\n</configuration>{after}"))
        }
        None => {
            let at = file.line_start(configuration.close.start).max(configuration.open.end);
            let head = format!("{}  <profiles>", with_line_end(file.piece(0..at, &breaks)));
            (
                head,
                Vec::new(),
                format!("  </profiles>\n{}", file.piece(at..end, &breaks)),
            )
        }
    };
    let head = head.trim_start_matches(['\r', '\n']).to_owned();
    let tail = tail.trim_end_matches(['\r', '\n']).to_owned();
    Ok((with_line_end(head), parts, with_line_end(tail)))
}

fn find_configuration(file: &TemplateFile) -> Result<(usize, &Element), TemplateError> {
    let mut configuration = None;
    for (at, element) in file.top_elements() {
        if element.name != "configuration" || configuration.is_some() {
            let reason = format!(
                "expected one <configuration name=\"sofia.conf\">, found <{}>",
                element.name
            );
            return Err(file.error(element.open.start, reason, "move it to where it belongs"));
        }
        configuration = Some((at, element));
    }
    let Some((at, configuration)) = configuration else {
        let fix = "start from the sofia.conf.xml that comes with trunkd or FreeSWITCH";
        return Err(file.error(0, "there is no <configuration name=\"sofia.conf\">", fix));
    };
    if configuration.attribute("name") != Some("sofia.conf") {
        let reason = "FreeSWITCH looks for <configuration name=\"sofia.conf\">, and this has another name";
        return Err(file.error(configuration.open.start, reason, "write name=\"sofia.conf\""));
    }
    Ok((at, configuration))
}

/// Adds warnings about includes: of the profiles, which trunkd adds itself, and of paths that FreeSWITCH won't find.
fn check_includes(file: &TemplateFile, profiles: Option<&Element>, directives: &[Directive], state: &mut LoadState) {
    for directive in directives {
        let Some((_, data)) = directive.action.as_ref().filter(|_| directive.inserts()) else {
            continue;
        };
        let in_profiles = profiles.is_some_and(|element| element.span().contains(&directive.at));
        if in_profiles && data.contains("sip_profiles") {
            let reason =
                "trunkd puts the profiles in here itself; with this line FreeSWITCH gets them twice, or nothing";
            state
                .warnings
                .push(file.warning(directive.at, reason, "remove the line"));
        } else {
            file.warn_of_include(directive, "autoload_configs", state);
        }
    }
}
