//! Endpoints that behave badly, each in its own way.

use std::io;
use std::io::BufReader;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::SocketType;

use crate::harness::wire;

/// Between two bytes of an endpoint that drips.
const DRIP: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted once an endpoint is back.
const QUEUE_MAX: i32 = 1024;

/// What an endpoint does to who calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads requests and never answers.
    Hangs,
    /// Nobody listens.
    Refuses,
    /// Resets the connection when a request has come.
    Resets,
    /// Answers 503.
    Fails,
    /// Answers 200 and a body that comes byte by byte, without end.
    Drips,
}

/// All of them.
pub(crate) const MANNERS: [Manner; 5] =
    [Manner::Hangs, Manner::Refuses, Manner::Resets, Manner::Fails, Manner::Drips];

/// A bad endpoint.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) manner: Manner,
    address: SocketAddr,
    met: Arc<AtomicUsize>,
    /// Keeps the port of one where nobody listens.
    _port: Option<Port>,
}

/// A port where nobody listens, yet.
#[derive(Debug)]
pub(crate) struct Port {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Port {
    /// One that stays ours: it is bound, and calls to it are refused.
    pub(crate) fn reserve() -> Port {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
        Port { socket, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on, calls are taken.
    pub(crate) fn listen(self) -> TcpListener {
        rustix::net::listen(&self.socket, QUEUE_MAX).unwrap();
        self.socket.into()
    }
}

impl Bad {
    pub(crate) fn start(manner: Manner) -> Bad {
        let met = Arc::<AtomicUsize>::default();
        let port = Port::reserve();
        let address = port.address;
        if manner == Manner::Refuses {
            return Bad { manner, address, met, _port: Some(port) };
        }
        let (listener, seen) = (port.listen(), Arc::clone(&met));
        wire::serve_each(listener, move |stream| serve(manner, stream, &seen));
        Bad { manner, address, met, _port: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Requests that have come.
    pub(crate) fn met(&self) -> usize {
        self.met.load(Ordering::Relaxed)
    }
}

fn serve(manner: Manner, stream: &TcpStream, met: &AtomicUsize) -> io::Result<()> {
    let (_open, never) = mpsc::channel::<()>();
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while wire::read(&mut reader)?.is_some() {
        met.fetch_add(1, Ordering::Relaxed);
        match manner {
            // until the other side gives up
            Manner::Hangs | Manner::Refuses => {}
            Manner::Resets => {
                let at_once = Some(Duration::ZERO);
                return Ok(rustix::net::sockopt::set_socket_linger(stream, at_once)?);
            }
            Manner::Fails => {
                writer.write_all(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")?;
            }
            Manner::Drips => {
                writer.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 60000\r\n\r\n")?;
                while never.recv_timeout(DRIP) == Err(mpsc::RecvTimeoutError::Timeout) {
                    writer.write_all(b".")?;
                }
            }
        }
    }
    Ok(())
}
