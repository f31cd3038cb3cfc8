//! The sockets: inherited from systemd by name, or bound here.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Gid;
use rustix::fs::Mode;

use crate::config::sections::Listen;
use crate::config::value::HttpListener;

/// Connections that the kernel keeps waiting for us is its own matter; the file is ours to remove.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    /// The file to remove at the end, if we made it.
    own: Option<PathBuf>,
}

/// Where providers' webhooks come in.
#[derive(Debug)]
pub(crate) enum HttpSocket {
    Tcp(TcpListener),
    Unix(Socket),
}

/// The sockets for submitting and for managing, and that for webhooks, if they come in.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) ingest: Socket,
    pub(crate) admin: Socket,
    pub(crate) http: Option<HttpSocket>,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// The one that systemd gave is not usable.
    #[error("the inherited socket {0}: {1}")]
    Inherited(&'static str, io::Error),
    /// Something else stands at the path.
    #[error("{0}: exists and is not a socket; remove it or change [listen]")]
    NotASocket(PathBuf),
    /// Another process answers there.
    #[error("{0}: another process is listening there: is postrider running already?")]
    Taken(PathBuf),
    /// It cannot be made.
    #[error("{0}: {1}")]
    Bind(PathBuf, io::Error),
    /// The address cannot be listened at.
    #[error("listen.http: {0}: {1}{hint}", hint = hint(.0, .1))]
    Address(SocketAddr, io::Error),
}

/// What to do about an address that cannot be listened at.
fn hint(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let port = address.port();
            format!(": under systemd, a drop-in of the unit needs SocketBindAllow=tcp:{port}")
        }
        _ => String::new(),
    }
}

impl Sockets {
    /// Takes the inherited sockets named `ingest` and `admin`; binds those that were not given.
    pub(crate) fn open(listen: &Listen) -> Result<Sockets, SocketError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut inherited = listenfd::ListenFd::from_env();
        let mut take = |name: &'static str| {
            let Some(index) = names.split(':').position(|given| given == name) else {
                return Ok(None);
            };
            inherited.take_unix_listener(index).map_err(|e| SocketError::Inherited(name, e))
        };
        let (ingest, admin) = (take("ingest")?, take("admin")?);
        let socket = |inherited, path, mode, group: &str| match inherited {
            Some(listener) => Ok(Socket { listener, own: None }),
            None => bind(path, mode, group),
        };
        let (mode, group) = (listen.ingest_mode, &listen.ingest_group);
        let ingest = socket(ingest, listen.ingest.path(), mode.get(), group)?;
        let (mode, group) = (listen.admin_mode, &listen.admin_group);
        let admin = socket(admin, listen.admin.path(), mode.get(), group)?;
        for socket in [&ingest, &admin] {
            let nonblocking = socket.listener.set_nonblocking(true);
            nonblocking.map_err(|error| SocketError::Inherited("socket", error))?;
        }
        Ok(Sockets { ingest, admin, http: http(listen)? })
    }
}

/// The socket for webhooks. One on which a reverse proxy connects belongs to the group of those
/// that may submit.
fn http(listen: &Listen) -> Result<Option<HttpSocket>, SocketError> {
    match &listen.http {
        HttpListener::Off => Ok(None),
        HttpListener::Tcp(address) => {
            let failed = |error| SocketError::Address(*address, error);
            let listener = TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            Ok(Some(HttpSocket::Tcp(listener)))
        }
        HttpListener::Unix(socket) => {
            let path = socket.path();
            let socket = bind(path, listen.ingest_mode.get(), &listen.ingest_group)?;
            let nonblocking = socket.listener.set_nonblocking(true);
            nonblocking.map_err(|error| SocketError::Bind(path.to_owned(), error))?;
            Ok(Some(HttpSocket::Unix(socket)))
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(path) = &self.own {
            // it may be gone already
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bind(path: &Path, mode: u32, group: &str) -> Result<Socket, SocketError> {
    clear(path)?;
    let failed = |error| SocketError::Bind(path.to_owned(), error);
    // nobody may connect before mode and group are right
    let before = rustix::process::umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(failed)?;
    if let Some(gid) = group_id(group) {
        // without the right to give it away, it stays with our own group
        let _ = rustix::fs::chown(path, None, Some(gid));
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(Socket { listener, own: Some(path.to_owned()) })
}

/// Removes a socket that nobody listens on any more.
fn clear(path: &Path) -> Result<(), SocketError> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(_) => return Ok(()),
    };
    if !kind.is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::Taken(path.to_owned()));
    }
    std::fs::remove_file(path).map_err(|error| SocketError::Bind(path.to_owned(), error))
}

/// The number of a group, by `/etc/group`.
fn group_id(name: &str) -> Option<Gid> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let mut fields = groups.lines().map(|line| line.split(':'));
    let found = fields
        .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)).flatten())?;
    found.parse().ok().map(Gid::from_raw)
}
