//! The floor: accept, append, sync in groups, answer 202, forward. No index, no retry, no
//! signature, no routing, nothing to find again after a crash.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::sync::mpsc;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client;
use hyper::server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;

/// Connections that forward.
const FORWARDERS: usize = 64;

/// A payload, and who is to be told that it is safe.
type Waiting = (Bytes, oneshot::Sender<()>);

/// Serves until the process is ended.
pub(crate) async fn serve(socket: &str, file: &str, to: &str) {
    let (sender, inbox) = mpsc::channel();
    let (out, safe) = unbounded_channel();
    let file = File::create(file).unwrap();
    std::thread::spawn(move || write(file, &inbox, &out));
    let safe: &'static Mutex<_> = Box::leak(Box::new(Mutex::new(safe)));
    for _ in 0..FORWARDERS {
        tokio::spawn(forward(safe, to.to_owned()));
    }
    let listener = UnixListener::bind(socket).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let sender = sender.clone();
        let service = service_fn(move |request| take(request, sender.clone()));
        let connection =
            server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { connection.await.ok() });
    }
}

async fn take(
    request: Request<Incoming>,
    writer: mpsc::Sender<Waiting>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let (safe, told) = oneshot::channel();
    writer.send((body, safe)).unwrap();
    told.await.unwrap();
    let mut answer = Response::new(Full::new(Bytes::from_static(b"{\"id\":\"x\"}")));
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

/// Whatever waits is one group.
fn write(mut file: File, inbox: &mpsc::Receiver<Waiting>, out: &UnboundedSender<Bytes>) {
    while let Ok(first) = inbox.recv() {
        let group: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
        let bytes: Vec<u8> = group.iter().flat_map(|(body, _)| body.iter().copied()).collect();
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        for (body, safe) in group {
            // whoever asked may have gone away
            safe.send(()).ok();
            out.send(body).unwrap();
        }
    }
}

async fn forward(safe: &Mutex<UnboundedReceiver<Bytes>>, to: String) {
    let stream = TcpStream::connect(&to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    loop {
        let next = safe.lock().await.recv().await;
        let Some(body) = next else { return };
        let request = Request::post("/floor").header("host", &to).body(Full::new(body)).unwrap();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
}
