//! Places in the file system: a listener's socket, the permission bits of its file, and root
//! certificates.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest path of a unix socket on Linux, in bytes (`sun_path` less its final zero).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What an address looks like, for error messages.
const EXPECTED_SOCKET: &str = "\"unix:\" and an absolute path of at most 107 bytes";
/// What a listener looks like, for error messages.
const EXPECTED_HTTP: &str =
    "\"off\", \"tcp:\" and an IP address with a port, or \"unix:\" and an absolute path";
/// What permission bits look like, for error messages.
const EXPECTED_MODE: &str = "permission bits as octal text such as \"0660\"";

/// What a source of root certificates looks like, for error messages.
const EXPECTED_ROOTS: &str = "\"system\" or the absolute path of a PEM file";

/// A unix socket: `"unix:/run/postrider/ingest.sock"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket(PathBuf);

/// Where HTTP is served for others than local programs: `"off"`, `"tcp:127.0.0.1:8420"`, or a unix
/// socket for a reverse proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpListener {
    /// Nowhere.
    Off,
    /// At an address.
    Tcp(SocketAddr),
    /// On a unix socket.
    Unix(UnixSocket),
}

/// The permission bits of a socket's file: `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

/// Who vouches for endpoints' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The certificates of the system (`/etc/ssl/certs` on Debian).
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// The text is no address, or no permission bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct PlaceError(&'static str);

impl UnixSocket {
    /// At this path.
    pub fn at(path: impl Into<PathBuf>) -> UnixSocket {
        UnixSocket(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Mode {
    /// From the bits.
    pub const fn bits(bits: u32) -> Mode {
        Mode(bits)
    }

    /// The bits, at most `0o777`.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether people outside owner and group may connect.
    pub const fn is_open_to_all(self) -> bool {
        self.0 & 0o006 != 0
    }
}

impl FromStr for UnixSocket {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<UnixSocket, PlaceError> {
        let path = text.strip_prefix("unix:").map(Path::new);
        let legal =
            |path: &&Path| path.is_absolute() && path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
        path.filter(legal).map(UnixSocket::at).ok_or(PlaceError(EXPECTED_SOCKET))
    }
}

impl FromStr for HttpListener {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<HttpListener, PlaceError> {
        let expected = PlaceError(EXPECTED_HTTP);
        match text.split_once(':') {
            None if text == "off" => Ok(HttpListener::Off),
            Some(("tcp", address)) => address.parse().map(HttpListener::Tcp).map_err(|_| expected),
            Some(("unix", _)) => text.parse().map(HttpListener::Unix).map_err(|_| expected),
            _ => Err(expected),
        }
    }
}

impl fmt::Display for HttpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpListener::Off => f.write_str("off"),
            HttpListener::Tcp(address) => write!(f, "tcp:{address}"),
            HttpListener::Unix(socket) => socket.fmt(f),
        }
    }
}

impl FromStr for Mode {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Mode, PlaceError> {
        let octal = text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| octal && *bits <= 0o777);
        bits.map(Mode).ok_or(PlaceError(EXPECTED_MODE))
    }
}

impl FromStr for Roots {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Roots, PlaceError> {
        match text {
            "system" => Ok(Roots::System),
            path if Path::new(path).is_absolute() => Ok(Roots::File(path.into())),
            _ => Err(PlaceError(EXPECTED_ROOTS)),
        }
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Roots::System => f.write_str("system"),
            Roots::File(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.0.display())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

as_text!(UnixSocket, EXPECTED_SOCKET);
as_text!(HttpListener, EXPECTED_HTTP);
as_text!(Mode, EXPECTED_MODE);
as_text!(Roots, EXPECTED_ROOTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_an_absolute_path() {
        let socket: UnixSocket = "unix:/run/postrider/a.sock".parse().unwrap();
        assert_eq!(socket.path(), Path::new("/run/postrider/a.sock"));
        assert_eq!(socket.to_string(), "unix:/run/postrider/a.sock");
        let long = format!("unix:/{}", "x".repeat(107));
        for text in ["/run/a.sock", "unix:a.sock", "unix:", "tcp:127.0.0.1:80", &long] {
            assert!(text.parse::<UnixSocket>().is_err(), "{text}");
        }
    }

    #[test]
    fn http_is_off_or_at_an_address_or_a_socket() {
        for text in ["off", "tcp:127.0.0.1:8420", "tcp:[::1]:0", "unix:/run/postrider/http.sock"] {
            assert_eq!(text.parse::<HttpListener>().unwrap().to_string(), text);
        }
        for text in ["on", "tcp:8420", "tcp:localhost:8420", "127.0.0.1:8420", "unix:x", ""] {
            assert!(text.parse::<HttpListener>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!("0660".parse(), Ok(Mode::bits(0o660)));
        assert_eq!(Mode::bits(0o660).to_string(), "0660");
        assert!("0666".parse::<Mode>().unwrap().is_open_to_all());
        assert!(!"0660".parse::<Mode>().unwrap().is_open_to_all());
        for text in ["0888", "rw", "", "+660", "1777"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }
}
