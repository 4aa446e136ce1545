//! What serde says about a value that it can't read, in Chinese.

/// Beginnings of what serde calls a kind of value, and the Chinese word.
const KINDS: [(&str, &str); 15] = [
    ("string", "字符串"),
    ("a string", "字符串"),
    ("integer", "整数"),
    ("floating point", "小数"),
    ("boolean", "布尔值"),
    ("a boolean", "布尔值"),
    ("null", "null"),
    ("map", "对象"),
    ("a map", "对象"),
    ("struct", "对象"),
    ("sequence", "数组"),
    ("a sequence", "数组"),
    ("u8", "非负整数"),
    ("u64", "非负整数"),
    ("usize", "非负整数"),
];

/// A message of serde. One of its kinds that is not known here stays as it is.
pub(super) fn of_serde(message: &str) -> String {
    let name = message.split('`').nth(1).unwrap_or_default();
    let is = |beginning: &str| message.starts_with(beginning);
    match () {
        () if is("unknown field `") => format!("没有名为 `{name}` 的字段"),
        () if is("unknown variant `") => format!("没有 `{name}` 这个取值"),
        () if is("missing field `") => format!("缺少字段 `{name}`"),
        () if is("duplicate field `") => format!("字段 `{name}` 出现了两次"),
        () if is("invalid type: ") => of_kinds(message),
        () if is("invalid value: ") || is("number too large") => "取值超出范围".to_owned(),
        // In a query.
        () if is("provided string was not `true`") => "应为 `true` 或 `false`".to_owned(),
        () if is("invalid digit") || is("cannot parse integer") => "应为整数".to_owned(),
        () => format!("内容有误：{message}"),
    }
}

/// `invalid type: string "a", expected u8 at line 1 column 12`
fn of_kinds(message: &str) -> String {
    let kinds = message
        .strip_prefix("invalid type: ")
        .and_then(|kinds| kinds.rsplit_once(", expected "));
    match kinds.map(|(found, expected)| (kind(found), kind(expected))) {
        Some((Some(found), Some(expected))) => format!("类型有误：是{found}，应为{expected}"),
        _ => "类型有误".to_owned(),
    }
}

fn kind(text: &str) -> Option<&'static str> {
    let found = KINDS.iter().find(|(beginning, _)| text.starts_with(beginning));
    found.map(|(_, chinese)| *chinese)
}
