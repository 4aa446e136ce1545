//! Bodies and parameters: everything that makes no sense is a problem that names the place and the
//! fix.

mod chinese;

use actix_web::dev::Payload;
use actix_web::error::{PathError, PayloadError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::gateway::Document;
use crate::language::{Message, Text, message, text};
use crate::portal::Problem;
use crate::shown::shown;

/// The largest body of a request, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

const AFTER_JSON: Text = text("there is something after the JSON", "JSON 之后还有内容");

const SEE_THE_DOCUMENT: Text = text(
    "see /api/openapi.json for what this call takes",
    "此接口的参数见 /api/openapi.json",
);

/// Reads a JSON body into a type that refuses keys that it doesn't know.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (pointer, error) = (pointer(error.path()), error.into_inner());
        match error.classify() {
            Category::Data => describe(&pointer, &error.to_string()),
            Category::Syntax | Category::Eof | Category::Io => no_json(&pointer, &error),
        }
    })?;
    json.end()
        .map_err(|_| Problem::bad_request("", AFTER_JSON, text("send one JSON value", "请只发送一个 JSON 值")))?;
    Ok(read)
}

/// Reads a JSON object that is kept as it was written.
pub(super) fn document(body: &[u8]) -> Result<Document, Problem> {
    Document::parse(body).map_err(|reason| {
        Problem::bad_request(
            "",
            message!(
                "the body can't be used: {reason}",
                "请求体无法使用：{reason}",
                reason = reason
            ),
            text(
                "send a JSON object, such as `{\"param\": {…}, \"variables\": {…}}`",
                "请发送一个 JSON 对象，例如 `{\"param\": {…}, \"variables\": {…}}`",
            ),
        )
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let parts = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    });
    parts.collect()
}

fn no_json(pointer: &str, error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let reason = message!("{error}", "第 {line} 行第 {column} 列的 JSON 语法有误");
    Problem::bad_request(pointer, reason, SEE_THE_DOCUMENT)
}

/// serde's message, with the nearest name there is for one that there isn't.
fn describe(pointer: &str, message: &str) -> Problem {
    let message = shown(message).to_string();
    let mut names = message.split('`').skip(1).step_by(2);
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let fix = match names.next().filter(|_| is_unknown) {
        Some(given) => {
            let known: Vec<&str> = names.collect();
            let near = known
                .iter()
                .map(|name| (strsim::osa_distance(given, name), name))
                .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
                .min();
            match near {
                Some((_, name)) => message!("did you mean `{name}`?", "是否想写 `{name}`？"),
                None => {
                    let known = known.join(", ");
                    message!("write one of {known}", "可用 {known} 之一")
                }
            }
        }
        None => SEE_THE_DOCUMENT.into(),
    };
    Problem::bad_request(pointer, Message::new(&message, chinese::of_serde(&message)), fix)
}

/// What actix-web itself refuses.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        .app_data(web::QueryConfig::default().error_handler(|error, _| query_error(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| path_error(&error).into()));
}

fn query_error(error: &QueryPayloadError) -> Problem {
    let text = error.to_string();
    let message = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
    describe("", message)
}

fn path_error(error: &PathError) -> Problem {
    let error = error.to_string();
    let said = error.strip_prefix("Path deserialize error: ").unwrap_or(&error);
    if said.starts_with("unknown variant") {
        return describe("", said);
    }
    let reason = shown(said).to_string();
    let reason = message!("{reason}", "路径有误：{reason}");
    let fix = text(
        "percent-encode names in the path, as UTF-8",
        "路径中的名称请按 UTF-8 进行百分号编码",
    );
    Problem::bad_request("", reason, fix)
}

/// The largest body of a call that takes more than others.
#[derive(Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

/// The body of a request.
pub(super) struct Sent(pub(super) web::Bytes);

impl FromRequest for Sent {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Bytes::from_request(request, payload);
        let limit = request.app_data::<BodyLimit>().map_or(MAX_BODY_BYTES, |limit| limit.0);
        Box::pin(async move {
            body.await.map(Self).map_err(|error| match error.as_error() {
                Some(PayloadError::Overflow) => too_large(limit),
                _ => Problem::bad_request(
                    "",
                    text("the body did not arrive whole", "请求体没有完整到达"),
                    text("send it again", "请重新发送"),
                ),
            })
        })
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        message!(
            "the body is larger than {limit} bytes: send less at once",
            "请求体超过 {limit} 字节：请减少一次发送的内容"
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::language::Language;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        #[serde(rename = "role")]
        _role: String,
        #[serde(default, rename = "inner")]
        _inner: Vec<u8>,
    }

    #[track_caller]
    fn refused(body: &str) -> (String, String, String) {
        let problem = json::<Sent>(body.as_bytes()).unwrap_err();
        let error = problem.errors[0].clone();
        (error.pointer, error.reason.en().to_owned(), error.fix.en().to_owned())
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_right_one() {
        let (_, reason, fix) = refused(r#"{"rol":"x"}"#);
        assert!(reason.contains("`rol`"), "{reason}");
        assert_eq!(fix, "did you mean `role`?");
        assert_eq!(refused(r#"{"zzzz":"x"}"#).2, "write one of role, inner");
    }

    #[test]
    fn what_is_wrong_is_said_in_chinese_too() {
        let chinese = |body: &str| {
            let problem = json::<Sent>(body.as_bytes()).unwrap_err();
            problem.errors[0].reason.in_language(Language::Zh).to_owned()
        };
        for (body, expected) in [
            (r#"{"rol":"x"}"#, "没有名为 `rol` 的字段"),
            (r#"{"inner":[]}"#, "缺少字段 `role`"),
            (r#"{"role":"x","role":"y"}"#, "字段 `role` 出现了两次"),
            (r#"{"role":7}"#, "类型有误：是整数，应为字符串"),
            (r#"{"role":"x","inner":["a"]}"#, "类型有误：是字符串，应为非负整数"),
            (r#"{"role":"x","inner":[256]}"#, "取值超出范围"),
            ("{\n\"role\": ,}", "第 2 行第 9 列的 JSON 语法有误"),
        ] {
            assert_eq!(chinese(body), expected, "{body}");
        }
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let (pointer, reason, _) = refused(r#"{"role":"x","inner":[1,"a"]}"#);
        assert_eq!(pointer, "/inner/1");
        assert!(reason.contains("expected u8"), "{reason}");
        assert!(refused("{} x").1.contains("missing field"));
        assert!(refused(r#"{"role":"x"} x"#).1.contains("something after"));
    }
}
