//! Answers as HTTP, made up or changed.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Response, StatusCode,
    body::{Bytes, Frame},
    header,
};
use serde_json::{Value, json};

use super::fault::Refusal;

/// A connection that ends here on purpose.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// A body that may end before its end.
pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// An answer with its body at hand.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// HTTP 200 with this body, as SQS writes it.
    pub(super) fn of(body: &Value) -> Self {
        Self::new(StatusCode::OK, "application/x-amz-json-1.0", body.to_string())
    }

    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        Self { status, headers, body: body.into() }
    }

    /// As SQS refuses, or something in between.
    pub(super) fn refusal(refusal: Refusal) -> Self {
        let error = |status, code: &'static str, fault: &str| {
            let body =
                json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "made up on the way" });
            let mut answer = Self { status, ..Self::of(&body) };
            let code = header::HeaderValue::from_str(&format!("{code};{fault}")).expect("plain letters");
            answer.headers.insert("x-amzn-query-error", code);
            answer
        };
        match refusal {
            Refusal::Throttled(pause) => {
                let mut answer = error(StatusCode::BAD_REQUEST, "RequestThrottled", "Sender");
                if let Some(pause) = pause {
                    let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                    answer.headers.insert("x-amz-retry-after", millis.into());
                }
                answer
            }
            Refusal::Internal => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", "Receiver"),
            Refusal::Unavailable => error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "Receiver"),
            Refusal::BadGateway => {
                Self::new(StatusCode::BAD_GATEWAY, "text/html", "<html>bad gateway</html>")
            }
        }
    }

    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The same with another body.
    pub(super) fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        // What the server says of the body is not true of another one.
        for name in ["x-amz-crc32", "content-md5", "etag"] {
            self.headers.remove(name);
        }
        self.body = body.into();
        self
    }

    /// Half of the body, as if that were all of it.
    pub(super) fn broken(self) -> Self {
        let half = self.body.slice(..self.body.len() / 2);
        self.with_body(half)
    }

    /// The whole answer.
    pub(super) fn whole(self) -> Response<Body> {
        let body = Full::new(self.body.clone()).map_err(|never: Infallible| match never {}).boxed_unsync();
        self.respond(body)
    }

    /// An answer that promises all of its body and ends after half of it.
    pub(super) fn cut(self) -> Response<Body> {
        let half = self.body.slice(..self.body.len() / 2);
        let end = stream::once(async {
            // The half is to be on its way before the connection ends.
            tokio::time::sleep(Duration::from_millis(5)).await;
            Err(Cut)
        });
        let body = StreamBody::new(stream::iter([Ok(Frame::data(half))]).chain(end));
        self.respond(BodyExt::boxed_unsync(body))
    }

    fn respond(mut self, body: Body) -> Response<Body> {
        for name in [header::TRANSFER_ENCODING, header::CONNECTION] {
            self.headers.remove(name);
        }
        self.headers.insert(header::CONTENT_LENGTH, self.body.len().into());
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
