//! The problems that calls may answer with, by status, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

/// A status that a call may answer with a problem document, for the OpenAPI document.
macro_rules! problem_responses {
    ($($name:ident $status:literal $description:literal;)*) => {
        $(
            #[doc = $description]
            pub(super) struct $name;

            impl utoipa::IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let content = Content::new(Some(Ref::from_schema_name("Problem")));
                    let response = ResponseBuilder::new()
                        .description($description)
                        .content("application/problem+json", content)
                        .build();
                    BTreeMap::from([($status.to_owned(), RefOr::T(response))])
                }
            }
        )*
    };
}

problem_responses! {
    BadRequest "400" "The body, a name or a parameter makes no sense: see `errors`";
    Unauthorized "401" "No token or session, or one that is no longer valid";
    Forbidden "403" "Your role is too low, or the domain is not yours";
    NotFound "404" "There is no such thing: `reason` says which name is unknown";
    Conflict "409" "It can't be done now: see `reason`";
    PreconditionFailed "412" "Another version stands there than `If-Match` names: see `current`";
    TooLarge "413" "The body is too large";
    Unprocessable "422" "It would be refused: see `errors`";
    TooMany "429" "Too many failed attempts: see `Retry-After`";
    Unavailable "503" "Redis is away or refuses writes: nothing was written, see `Retry-After`";
}
