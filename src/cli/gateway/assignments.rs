//! Reads `realm=sip.example.net password=@- var:sip_sticky_contact=true`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use super::super::while_doing;
use crate::gateway::Direction;
use crate::operate::gateways::Assignments;
use crate::shown::shown;

const STDIN: &str = "standard input";
/// What stands before the name of a variable, and the calls that it is then for.
const VARIABLES: [(&str, Option<Direction>); 4] = [
    ("var:", None),
    ("inbound:", Some(Direction::Inbound)),
    ("outbound:", Some(Direction::Outbound)),
    ("both:", Some(Direction::Both)),
];
/// The longest value from a file or from standard input, in bytes: a gateway's whole value may have as many.
const MAX_VALUE_BYTES: u64 = 64 * 1024;

/// Adds the assignments to `to`. `stdin` reads the value for `@-`; it gets the name.
pub(super) fn read(
    words: &[String],
    stdin: impl FnOnce(&str) -> anyhow::Result<String>,
    to: &mut Assignments,
) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    let mut stdin = Some(stdin);
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            let word = shown(word);
            anyhow::bail!("{word} assigns nothing: write {word}=VALUE to set it, or {word}= to remove it");
        };
        let variable = VARIABLES
            .into_iter()
            .find_map(|(prefix, direction)| Some((name.strip_prefix(prefix)?, direction)));
        if !names.insert((variable.is_some(), variable.map_or(name, |(bare, _)| bare))) {
            anyhow::bail!("{} is assigned twice", shown(name));
        }
        let value = match value.strip_prefix('@') {
            None if value.is_empty() => None,
            None => Some(value.to_owned()),
            // A value that begins with @ itself.
            Some(rest) if rest.starts_with('@') => Some(rest.to_owned()),
            Some("-") => match stdin.take() {
                Some(stdin) => Some(stdin(name)?),
                None => anyhow::bail!("only one value can be read from standard input"),
            },
            Some(path) => Some(file(Path::new(path), name)?),
        };
        let (list, name) = match variable {
            Some((variable, direction)) => {
                to.directions
                    .extend(direction.map(|direction| (variable.to_owned(), direction)));
                (&mut to.variables, variable)
            }
            None => (&mut to.params, name),
        };
        if name.is_empty() {
            anyhow::bail!(
                "{} assigns to no name: write NAME=VALUE, or var:NAME=VALUE",
                shown(word)
            );
        }
        list.push((name.to_owned(), value));
    }
    Ok(())
}

/// The whole of standard input; a person at a terminal is asked, and what he types is not shown.
pub(super) fn from_stdin(name: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return content(&mut stdin.lock(), name, STDIN);
    }
    let typed = rpassword::prompt_password(format!("{}: ", shown(name))).map_err(cannot_read(name, STDIN))?;
    content(&mut typed.as_bytes(), name, STDIN)
}

/// Whatever can be read, such as `<(pass show carrier1)` of a shell.
fn file(path: &Path, name: &str) -> anyhow::Result<String> {
    let from = path.display().to_string();
    let mut file = File::open(path).map_err(cannot_read(name, &from))?;
    content(&mut file, name, &from)
}

/// The whole text without the line end behind it. Errors repeat nothing of it.
fn content(from: &mut dyn Read, name: &str, place: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(MAX_VALUE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(cannot_read(name, place))?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    let problem = match value {
        "" => "it is empty",
        value if value.len() as u64 > MAX_VALUE_BYTES => "it is larger than 64 KiB",
        value => return Ok(value.to_owned()),
    };
    Err(cannot_read::<&str>(name, place)(problem))
}

fn cannot_read<E: std::fmt::Display>(name: &str, place: &str) -> impl FnOnce(E) -> anyhow::Error {
    while_doing(format!("cannot read {} from {}", shown(name), shown(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str], stdin: &str) -> Result<Assignments, String> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        let mut assignments = Assignments::default();
        let stdin = |name: &str| content(&mut stdin.as_bytes(), name, STDIN);
        let read = read(&words, stdin, &mut assignments);
        read.map(|()| assignments).map_err(|error| error.to_string())
    }

    fn set(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn params_and_variables_are_set_and_removed() {
        let words = [
            "realm=a=b",
            "proxy=",
            "username=@@me",
            "var:p:caller_id_number=1001",
            "var:x=",
        ];
        let read = parse(&words, "").ok().unwrap();
        assert_eq!(
            read.params,
            [
                set("realm", Some("a=b")),
                set("proxy", None),
                set("username", Some("@me"))
            ]
        );
        assert_eq!(
            read.variables,
            [set("p:caller_id_number", Some("1001")), set("x", None)]
        );
    }

    #[test]
    fn a_variable_is_limited_to_a_direction() {
        let words = ["inbound:a=1", "outbound:p:x=2", "both:b=3", "var:c=4"];
        let read = parse(&words, "").ok().unwrap();
        let names: Vec<_> = read.variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "p:x", "b", "c"]);
        let directions: Vec<_> = read.directions.iter().map(|(name, to)| (name.as_str(), *to)).collect();
        let (inbound, outbound, both) = (Direction::Inbound, Direction::Outbound, Direction::Both);
        assert_eq!(directions, [("a", inbound), ("p:x", outbound), ("b", both)]);
        let twice = parse(&["var:a=1", "inbound:a=2"], "").err().unwrap();
        assert_eq!(twice, "inbound:a is assigned twice");
    }

    #[test]
    fn a_value_comes_from_standard_input_or_a_file_without_its_line_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file\r\n").unwrap();
        let path = format!("username=@{}", file.path().display());
        let read = parse(&["password=@-", &path], " two words \n").ok().unwrap();
        assert_eq!(
            read.params,
            [
                set("password", Some(" two words ")),
                set("username", Some("from a file"))
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_says_what_to_write_and_repeats_no_secret() {
        let error = |words: &[&str], stdin: &str| parse(words, stdin).err().unwrap();
        assert_eq!(
            error(&["realm"], ""),
            "realm assigns nothing: write realm=VALUE to set it, or realm= to remove it"
        );
        assert_eq!(error(&["a=1", "a=2"], ""), "a is assigned twice");
        assert!(error(&["=x"], "").contains("NAME=VALUE"));
        assert!(error(&["var:=x"], "").contains("var:NAME=VALUE"));
        assert!(error(&["a=@-", "b=@-"], "x").contains("only one value"));
        assert_eq!(
            error(&["password=@-"], "\n"),
            "cannot read password from standard input: it is empty"
        );
        let large = "s".repeat(70_000);
        assert_eq!(
            error(&["password=@-"], &large),
            "cannot read password from standard input: it is larger than 64 KiB"
        );
        assert!(error(&["password=@/no/such/file"], "").starts_with("cannot read password from /no/such/file: "));
    }

    #[test]
    fn text_that_is_no_utf8_is_refused() {
        let read = content(&mut &[0xff, 0xfe][..], "a", STDIN);
        assert!(read.unwrap_err().to_string().contains("valid UTF-8"));
    }
}
