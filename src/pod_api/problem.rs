//! What can go wrong, in one table, as `application/problem+json` (RFC 9457). The detail says what to do next.

use std::time::Duration;

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, body};

macro_rules! problems {
    ($($name:ident => $status:ident, $title:literal;)*) => {
        /// Why a request was not answered as asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
        pub enum What { $(#[doc = $title] $name,)* }

        impl What {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As the API spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Its status.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// In a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problems! {
    Malformed         => BAD_REQUEST,            "the request cannot be read";
    Unauthenticated   => UNAUTHORIZED,           "the token is not accepted";
    PodGone           => UNAUTHORIZED,           "the token's pod does not exist";
    NotAPod           => FORBIDDEN,              "the token is not bound to a pod";
    NoFlowApp         => FORBIDDEN,              "the pod belongs to no flow app";
    NotFound          => NOT_FOUND,              "there is nothing here";
    MethodNotAllowed  => METHOD_NOT_ALLOWED,     "the method is not allowed here";
    NoSync            => CONFLICT,               "no sync serves the flow app";
    FieldOwned        => CONFLICT,               "the setting belongs to somebody else";
    Changed           => CONFLICT,               "the object was changed at the same time";
    TooLarge          => PAYLOAD_TOO_LARGE,      "the body is too large";
    UnsupportedType   => UNSUPPORTED_MEDIA_TYPE, "the body is not JSON";
    TooManyRequests   => TOO_MANY_REQUESTS,      "too many requests";
    Unavailable       => SERVICE_UNAVAILABLE,    "the cluster cannot be asked at present";
    TimedOut          => REQUEST_TIMEOUT,        "the request took too long to arrive";
}

/// A request that was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub what: What,
    /// What to do next. Never quotes what was sent.
    pub detail: String,
    /// The field of the body that it is about.
    pub field: Option<String>,
    /// Who owns the setting.
    pub owner: Option<String>,
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// What is allowed instead.
    pub allow: Option<&'static str>,
}

/// A problem as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// A URI that names the kind of problem.
    r#type: String,
    /// In a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What to do next.
    detail: String,
    /// The kind of problem in one word.
    reason: What,
    /// The field of the body that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The field manager that owns the setting, such as `argocd-controller`.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

impl Problem {
    /// With what to do next.
    pub fn new(what: What, detail: impl Into<String>) -> Self {
        Self { what, detail: detail.into(), field: None, owner: None, retry_after: None, allow: None }
    }

    /// The body is not as it should be.
    pub fn field(name: &str, expected: &str) -> Self {
        let detail = format!("send {name} as {expected}");
        Self { field: Some(name.to_owned()), ..Self::new(What::Malformed, detail) }
    }

    /// It would be another answer later.
    pub fn later(what: What, after: Duration, detail: impl Into<String>) -> Self {
        Self { retry_after: Some(after), ..Self::new(what, detail) }
    }

    /// As it is sent.
    pub fn response(self) -> Answer {
        let status = self.what.status();
        let document = Document {
            r#type: format!("https://spacesync.dev/problems/{}", kebab(self.what.as_str())),
            title: self.what.title(),
            status: status.as_u16(),
            detail: self.detail,
            reason: self.what,
            field: self.field,
            owner: self.owner,
        };
        let mut response = Response::new(body(&document));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            // Whole seconds, and never too early.
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs() + u64::from(after.subsec_nanos() > 0)));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

fn kebab(word: &str) -> String {
    let mut kebab = String::new();
    for c in word.chars() {
        if c.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
    }
    kebab
}
