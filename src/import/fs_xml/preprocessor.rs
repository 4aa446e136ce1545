//! FreeSWITCH's preprocessor (FACTS 8; `preprocess` in switch_xml.c): includes files and replaces
//! variables, line by line, before any XML is read. Never executes anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::draft::Remarks;
use super::super::words::quoted;
use super::super::{ImportError, Level, MAX_BYTES, Place, Remark};
use super::folder::{Folder, Refusal};
use super::globals::{Globals, decoded};
use super::text::Text;
use crate::language::{Message, message, text};
use crate::sofia_conf::preprocessor::{drop_mark, find_directive, lines, read_action};

/// Files inside of files. FreeSWITCH stops at 100.
const MAX_DEPTH: usize = 100;
/// The most files that are read, counted each time.
const MAX_FILES: usize = 50_000;

/// Reads files into one text. Variables stay from one text to the next.
#[derive(Default)]
pub(super) struct Preprocessor {
    pub(super) globals: Globals,
    pub(super) remarks: Remarks,
    text: Text,
    /// The files that are being read, without symbolic links.
    open: Vec<PathBuf>,
    files: usize,
    bytes: u64,
}

/// The line that is being read.
struct Line<'a> {
    folder: Option<&'a Folder>,
    /// Where relative paths begin.
    from: &'a Path,
    place: Place,
}

impl Preprocessor {
    /// The text of a file with everything that it includes.
    pub(super) fn file(&mut self, folder: &Folder, path: &Path) -> Result<Text, ImportError> {
        let place = Place {
            file: folder.shown(path),
            line: 0,
        };
        self.include(folder, path, &place)?;
        Ok(std::mem::take(&mut self.text))
    }

    /// The same of a text that is no file: it can include none.
    pub(super) fn text(&mut self, name: &str, bytes: &[u8]) -> Result<Text, ImportError> {
        self.bytes(None, Path::new(""), &name.into(), bytes)?;
        Ok(std::mem::take(&mut self.text))
    }

    fn include(&mut self, folder: &Folder, path: &Path, from: &Place) -> Result<(), ImportError> {
        let name = folder.shown(path);
        let real = folder.real(path);
        if real.as_ref().is_some_and(|real| self.open.contains(real)) || self.open.len() == MAX_DEPTH {
            let name = quoted(&name);
            let reason = message!("{name} includes itself", "{name} 包含了自身");
            self.refuse(
                from,
                Level::Error,
                reason,
                text("remove the include", "请删除该 include"),
            );
            return Ok(());
        }
        self.files += 1;
        if self.files > MAX_FILES {
            let reason = message!(
                "more than {MAX_FILES} files are included",
                "包含的文件超过 {MAX_FILES} 个"
            );
            return Err(ImportError::new(
                name,
                reason,
                text("import less at once", "请减少一次导入的内容"),
            ));
        }
        match folder.read(path) {
            Ok(bytes) => {
                self.open.push(real.unwrap_or_default());
                self.bytes(Some(folder), path.parent().unwrap_or(path), &name, &bytes)?;
                self.open.pop();
            }
            Err(Refusal { reason, fix }) => {
                let place = Place { file: name, line: 0 };
                self.refuse(&place, Level::Error, reason, fix);
            }
        }
        Ok(())
    }

    fn bytes(
        &mut self,
        folder: Option<&Folder>,
        from: &Path,
        name: &Arc<str>,
        bytes: &[u8],
    ) -> Result<(), ImportError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_BYTES {
            return Err(ImportError::too_large(name));
        }
        let mut number = 1;
        let mut line = Line {
            folder,
            from,
            place: Place {
                file: name.clone(),
                line: number,
            },
        };
        if bytes.contains(&0) {
            let reason = text(
                "the file has a NUL, so it is no XML in UTF-8",
                "文件含有 NUL，不是 UTF-8 编码的 XML",
            );
            self.refuse(
                &line.place,
                Level::Error,
                reason,
                text("save it as UTF-8", "请另存为 UTF-8"),
            );
            return Ok(());
        }
        let content = decoded(bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes));
        self.text.begin(name, number);
        let mut in_comment = false;
        for range in lines(&content) {
            let raw = &content[range];
            line.place.line = number;
            let is_ended = self.line(&line, raw, &mut in_comment)?;
            // Line for line, so that places are right.
            if raw.ends_with('\n') {
                number += 1;
                if !is_ended {
                    self.text.push("\n")?;
                }
            }
        }
        // The next file begins on a line of its own, as behind a last line that ends.
        self.text.push("\n")
    }

    /// Adds what is left of a line, and what it includes. Returns whether that ended with the line's end.
    fn line(&mut self, line: &Line<'_>, raw: &str, in_comment: &mut bool) -> Result<bool, ImportError> {
        let expanded = self.globals.expand(raw)?;
        if let Some((_, mark)) = drop_mark(raw) {
            self.warn_of_dropped(line, raw, mark);
            return Ok(false);
        }
        let mut rest = expanded.as_str();
        if *in_comment {
            let Some(end) = rest.find("-->") else {
                return Ok(false);
            };
            *in_comment = false;
            rest = &rest[end + 3..];
        }
        if let Some(at) = find_directive(rest) {
            if rest[..at].ends_with('<')
                && let Some((command, argument)) = read_action(&rest[at..])
            {
                self.directive(line, &command, &argument)?;
            }
            return Ok(false);
        }
        let Some(start) = rest.find("<!--#") else {
            self.text.push(rest)?;
            return Ok(rest.ends_with('\n'));
        };
        let (before, comment) = rest.split_at(start);
        let (command, after) = match comment.find("-->") {
            Some(end) => (&comment[5..end], &comment[end + 3..]),
            None => {
                *in_comment = true;
                (&comment[5..], "")
            }
        };
        self.text.push(before)?;
        self.text.push(after)?;
        match comment_action(command) {
            Some((command, argument)) => {
                self.directive(line, command, argument)?;
                Ok(after.ends_with('\n') && !command.eq_ignore_ascii_case("include"))
            }
            None => Ok(after.ends_with('\n')),
        }
    }

    fn directive(&mut self, line: &Line<'_>, command: &str, argument: &str) -> Result<(), ImportError> {
        let command = command.to_ascii_lowercase();
        match command.as_str() {
            "set" => self.globals.assign(argument),
            "include" => return self.include_matching(line, argument),
            "exec-set" | "stun-set" | "env-set" => {
                self.globals.not_run(&quoted(&command), argument, &line.place);
                let name = quoted(argument.split('=').next().unwrap_or_default());
                let reason = message!(
                    "`{command}` is never executed, so the variable {name} has no value here",
                    "从不执行 `{command}`，因此变量 {name} 在这里没有值"
                );
                let fix = text(
                    "if a gateway uses it, give the value with --set NAME=VALUE",
                    "如果有网关用到它，请用 --set NAME=VALUE 给出值",
                );
                self.refuse(&line.place, Level::Note, reason, fix);
            }
            "exec" => {
                let reason = text(
                    "`exec` is never executed, so what it would insert is missing",
                    "从不执行 `exec`，因此缺少它将插入的内容",
                );
                let fix = text(
                    "if it writes gateways, save its output as a file and import that",
                    "如果它输出网关，请将输出保存为文件后再导入",
                );
                self.refuse(&line.place, Level::Warning, reason, fix);
            }
            _ => {}
        }
        Ok(())
    }

    fn include_matching(&mut self, line: &Line<'_>, pattern: &str) -> Result<(), ImportError> {
        let missing = self.globals.missing_in(pattern).next();
        if let Some((reason, fix)) = missing.map(|missing| (missing.reason(), missing.fix())) {
            self.refuse(&line.place, Level::Warning, reason, fix);
            return Ok(());
        }
        let Some(folder) = line.folder else {
            let reason = text("a single text includes no files", "单个文本不能包含其他文件");
            let fix = text(
                "import the folder instead, with `trunkd import fs-xml`",
                "请改用 `trunkd import fs-xml` 导入文件夹",
            );
            self.refuse(&line.place, Level::Warning, reason, fix);
            return Ok(());
        };
        match folder.matching(line.from, pattern) {
            Err(Refusal { reason, fix }) => self.refuse(&line.place, Level::Warning, reason, fix),
            Ok(paths) => {
                for path in paths {
                    self.include(folder, &path, &line.place)?;
                }
                // The rest of the including file.
                self.text.begin(&line.place.file, line.place.line);
            }
        }
        Ok(())
    }

    /// FreeSWITCH drops a line with `<include>` or `<?` whole. That is meant, unless it has more.
    fn warn_of_dropped(&mut self, line: &Line<'_>, raw: &str, mark: &str) {
        let trimmed = raw.trim();
        let is_all = match mark {
            "<?" => trimmed.starts_with("<?") && trimmed.ends_with("?>"),
            mark => trimmed == mark,
        };
        if !is_all && trimmed.contains("gateway") {
            let reason = message!(
                "FreeSWITCH drops this whole line, because it contains `{mark}`",
                "FreeSWITCH 会丢弃整行，因为其中含有 `{mark}`"
            );
            let fix = message!("give `{mark}` a line of its own", "请让 `{mark}` 单独占一行");
            self.refuse(&line.place, Level::Error, reason, fix);
        }
    }

    fn refuse(&mut self, place: &Place, level: Level, reason: impl Into<Message>, fix: impl Into<Message>) {
        let remark = Remark::new(place.clone(), level, reason).with_fix(fix);
        self.remarks.push(remark);
    }
}

/// The command and the argument of `<!--#set "name=value"`.
fn comment_action(text: &str) -> Option<(&str, &str)> {
    let line = text.split(['\r', '\n']).next()?;
    let (command, argument) = line.split_once(' ')?;
    let quoted = argument
        .split_once('"')
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(quoted, _)| quoted);
    Some((command, quoted.unwrap_or(argument)))
}
