//! The caller of a request and its address, which a service needs to decide whether a call is permitted.
//!
//! Policies may be bound to a source address. The service decides which of the claims below counts.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Credentials;
use crate::error::ApiError;

/// A caller whose credentials are not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The credentials in the request.
    pub credentials: Credentials,
    /// `X-Forwarded-For` as sent; several headers are joined to one list.
    pub forwarded_for: Option<String>,
    /// `X-Real-IP`, as sent.
    pub real_ip: Option<String>,
    /// The peer address of the connection, if the server was started with connection information.
    pub peer: Option<IpAddr>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let text = |headers: &HeaderMap, name: &str| {
            let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        Ok(Self {
            credentials: Credentials::from_headers(&parts.headers)?,
            forwarded_for: text(&parts.headers, "x-forwarded-for"),
            real_ip: text(&parts.headers, "x-real-ip"),
            peer: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical()),
        })
    }
}
