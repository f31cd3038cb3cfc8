//! The API as bytes on a socket, and as lines in the audit log.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::api;

/// Sends these bytes over a real connection, and reads until it is closed.
async fn exchange(request: &str) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let service = TowerToHyperService::new(api().router);
    let server = hyper::server::conn::http1::Builder::new();
    let serving = server.serve_connection(TokioIo::new(theirs), service);
    let mut text = String::new();
    let talking = async {
        ours.write_all(request.as_bytes()).await.unwrap();
        ours.read_to_string(&mut text).await.unwrap();
    };
    let (served, ()) = tokio::join!(serving, talking);
    served.unwrap();
    text
}

#[tokio::test]
async fn a_problem_arrives_whole() {
    let request = "GET /v1/endpoints/nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = exchange(request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(body.ends_with(r#""instance":"req_1"}"#), "{body}");
}

#[tokio::test]
async fn several_requests_share_a_connection() {
    let first = "POST /v1/admin/drain HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let second = "HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = exchange(&format!("{first}{second}")).await;
    // nobody put an actor into the request
    assert!(answers.starts_with("HTTP/1.1 401"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
    assert!(answers.ends_with("\r\n\r\n"), "a HEAD has no body: {answers}");
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn commands_are_audited_without_their_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = api();
    let body = r#"{"name":"billing","secret":"whsec_secret"}"#;
    api.send("POST", "/v1/endpoints?token=whsec_secret", body).await;
    api.get("/v1/status").await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "reading is not audited: {text}");
    for part in ["postrider::audit", "uid:0", "POST /v1/endpoints", "422", "req_1"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("whsec"), "{text}");
}
