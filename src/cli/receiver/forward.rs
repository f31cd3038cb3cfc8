//! Handing a received request on to a program on this machine or network.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// How long the program may take to answer.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(30);

/// Headers that belong to one connection, and so are not handed on (RFC 9110 section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
];

/// Where requests are handed on to: a plain `http` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardTo {
    url: Url,
    host: String,
    port: u16,
}

/// Why a text is no [`ForwardTo`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardToError {
    /// It is no URL.
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    /// It is not reached by plain HTTP.
    #[error("requests are handed on by plain http only, for example http://localhost:3000/hook")]
    Scheme,
}

/// Why a request could not be handed on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Nobody listens there, or the name is unknown.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The answer is not HTTP, or the connection broke.
    #[error("no answer: {0}")]
    Exchange(#[source] hyper::Error),
    /// Nothing within [`FORWARD_TIMEOUT`].
    #[error("no answer within {} s", FORWARD_TIMEOUT.as_secs())]
    Timeout,
}

impl ForwardError {
    /// What the sender is told instead (RFC 9110 section 15.6).
    pub const fn status(&self) -> StatusCode {
        match self {
            ForwardError::Connect(_) | ForwardError::Exchange(_) => StatusCode::BAD_GATEWAY,
            ForwardError::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl fmt::Display for ForwardTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl FromStr for ForwardTo {
    type Err = ForwardToError;

    fn from_str(text: &str) -> Result<ForwardTo, ForwardToError> {
        let url: Url = text.parse()?;
        let (Some(host), Some(port), "http") =
            (url.host_str(), url.port_or_known_default(), url.scheme())
        else {
            return Err(ForwardToError::Scheme);
        };
        // an IPv6 literal stands in brackets in a URL, and without them where a name is looked up
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(ForwardTo { url, host, port })
    }
}

impl ForwardTo {
    /// Posts the body with the headers it came with, and gives the status that comes back.
    ///
    /// # Errors
    /// [`ForwardError`] if there is none.
    pub async fn post(&self, headers: &HeaderMap, body: Bytes) -> Result<StatusCode, ForwardError> {
        match timeout(FORWARD_TIMEOUT, self.exchange(headers, body)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(ForwardError::Timeout),
        }
    }

    async fn exchange(&self, headers: &HeaderMap, body: Bytes) -> Result<StatusCode, ForwardError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(ForwardError::Connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ForwardError::Exchange)?;
        let request = self.request(headers, body);
        let ask =
            async move { sender.send_request(request).await.map(|response| response.status()) };
        // the connection is driven here and ends with `ask`: only the status is of interest
        let (status, _closed) = tokio::join!(ask, connection);
        status.map_err(ForwardError::Exchange)
    }

    fn request(&self, headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        // a parsed URL has only characters that a request target and a header may hold
        *request.uri_mut() = path.parse().unwrap_or_default();
        for (name, value) in headers {
            if !OF_THE_CONNECTION.contains(name) {
                request.headers_mut().append(name.clone(), value.clone());
            }
        }
        if let Ok(authority) = HeaderValue::from_str(authority) {
            request.headers_mut().insert(header::HOST, authority);
        }
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_handed_on() {
        assert!("http://localhost:3000/hook".parse::<ForwardTo>().is_ok());
        assert_eq!("https://example.com/".parse::<ForwardTo>(), Err(ForwardToError::Scheme));
        assert!("localhost:3000".parse::<ForwardTo>().is_err());
        let v6: ForwardTo = "http://[::1]:3000/".parse().unwrap();
        assert_eq!((v6.host.as_str(), v6.port), ("::1", 3000));
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let to: ForwardTo = "http://127.0.0.1:3000/hook?a=b".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
        headers.insert(header::HOST, HeaderValue::from_static("outside.example"));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let request = to.request(&headers, Bytes::from_static(b"x"));
        assert_eq!(request.uri(), "/hook?a=b");
        assert_eq!(request.headers()["webhook-id"], "evt_1");
        assert_eq!(request.headers()[header::HOST], "127.0.0.1:3000");
        assert!(!request.headers().contains_key(header::TRANSFER_ENCODING));
    }
}
