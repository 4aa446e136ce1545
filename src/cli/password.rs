//! Reads a new password: twice from a terminal, or the first line of standard input or a file.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::while_doing;
use crate::access::MAX_PASSWORD_BYTES;

/// Enough of a line to tell that it is too long.
const MAX_LINE_BYTES: u64 = MAX_PASSWORD_BYTES as u64 + 8;

/// A new password for the user.
pub(super) fn new_password(user: &str, file: Option<&Path>) -> anyhow::Result<SecretString> {
    if let Some(path) = file {
        let what = format!("cannot read the password from {}", path.display());
        let opened = File::open(path).map_err(while_doing(&what))?;
        return first_line(BufReader::new(opened), &what);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return first_line(stdin.lock(), "cannot read the password from standard input");
    }
    let ask = |question: String| {
        let answer = rpassword::prompt_password(question).map(SecretString::from);
        answer.map_err(while_doing("cannot ask for the password"))
    };
    let password = ask(format!("New password of {user}: "))?;
    let again = ask("The same again: ".to_owned())?;
    if password.expose_secret() != again.expose_secret() {
        anyhow::bail!("the two passwords differ: nothing was changed");
    }
    Ok(password)
}

fn first_line(input: impl BufRead, what: &str) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    let mut input = input.take(MAX_LINE_BYTES);
    input.read_line(&mut line).map_err(while_doing(what))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        anyhow::bail!("{what}: its first line is empty");
    }
    Ok(password.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_first_line_without_its_end() {
        let read = |text: &str| first_line(text.as_bytes(), "input").map(|read| read.expose_secret().to_owned());
        for text in ["correct horse", "correct horse\n", "correct horse\r\nmore\n"] {
            assert_eq!(read(text).unwrap(), "correct horse");
        }
        for text in ["", "\n", "\nmore"] {
            assert!(read(text).unwrap_err().to_string().contains("empty"), "{text:?}");
        }
        let long = "x".repeat(5_000);
        assert!(
            read(&long).unwrap().len() > MAX_PASSWORD_BYTES,
            "not cut to one that fits"
        );
    }
}
