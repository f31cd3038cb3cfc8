//! The tables of the configuration file: every key with its type, its default and its limits.
//!
//! This is the only list of keys. The readers, the check for unknown keys, `config show` and the
//! test of the example file all come from it.

use std::time::Duration;

use serde::Serialize;

use crate::config::reader::Reader;
use crate::config::schema::Shape;
use crate::config::value::Cidr;
use crate::config::value::Dur;
use crate::config::value::Durability;
use crate::config::value::HttpListener;
use crate::config::value::Idempotency;
use crate::config::value::IpFamily;
use crate::config::value::LogFormat;
use crate::config::value::Mode;
use crate::config::value::RetryPlan;
use crate::config::value::Roots;
use crate::config::value::Size;
use crate::config::value::TlsVersion;
use crate::config::value::UnixSocket;
use crate::config::value::Unmatched;
use crate::model::Rate;

macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr
                $(, from $min:expr, to $max:expr)?;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            /// Its keys.
            pub const SHAPE: Shape =
                Shape::Table(&[$((stringify!($field), Shape::Value),)*]);

            /// Reads it; what is not set, or wrong, is as in `base`.
            pub(crate) fn read(reader: &mut Reader<'_>, base: &$name) -> $name {
                $name {
                    $($field: section!(@read reader, $field $(, $min, $max)?)
                        .unwrap_or_else(|| base.$field.clone()),)*
                }
            }
        }
    };
    (@read $reader:ident, $field:ident) => { $reader.value(stringify!($field)) };
    (@read $reader:ident, $field:ident, $min:expr, $max:expr) => {
        $reader.bounded(stringify!($field), $min, $max)
    };
}

section! {
    /// Where postrider listens. Sockets inherited from systemd win over the paths here.
    Listen {
        /// The socket for submitting events.
        ingest: UnixSocket = UnixSocket::at("/run/postrider/ingest.sock");
        /// The socket for the CLI, the management API and metrics.
        admin: UnixSocket = UnixSocket::at("/run/postrider/admin.sock");
        /// Where providers' webhooks come in.
        http: HttpListener = HttpListener::Off;
        /// Whether that may be reached from other machines without TLS.
        http_insecure: bool = false;
        /// Permission bits of the first.
        ingest_mode: Mode = Mode::bits(0o660);
        /// The group that the first is given to; left alone if there is no such group.
        ingest_group: String = "postrider-submit".to_owned();
        /// Permission bits of the second.
        admin_mode: Mode = Mode::bits(0o660);
        /// The group that the second is given to; left alone if there is no such group.
        admin_group: String = "postrider-admin".to_owned();
        /// How long a client may take for its request head, and idle between requests.
        header_read_timeout: Dur = Dur::secs(10), from Dur::millis(100), to Dur::mins(10);
        /// How long a request may take in all.
        request_timeout: Dur = Dur::secs(30), from Dur::millis(100), to Dur::mins(10);
        /// Connections at once, for each socket.
        max_connections: u32 = 1024, from 1, to 65_536;
    }
}

section! {
    /// The durable outbox.
    Storage {
        /// The directory of the store.
        path: std::path::PathBuf = "/var/lib/postrider".into();
        /// What a 202 stands for.
        durability: Durability = Durability::Fsync;
        /// Bytes that the store caches; what stays resident is 3 to 4 times as much.
        cache: Size = Size::mib(16), from Size::mib(1), to Size::gib(64);
        /// Below this much free space, submissions are refused; deliveries go on.
        min_free_disk: Size = Size::gib(1), from Size::bytes(0), to Size::gib(1 << 20);
        /// Bytes set aside at start, given up when a full disk could not be opened otherwise.
        ballast: Size = Size::mib(64), from Size::bytes(0), to Size::gib(64);
    }
}

section! {
    /// What postrider tells of itself, as events.
    Alerts {
        /// The same thing about the same endpoint is told once in this time.
        dedupe: Dur = Dur::mins(15), from Dur::ZERO, to Dur::days(7);
    }
}

section! {
    /// What endpoints are expected to keep. Each may have its own.
    Targets {
        /// A delivery that has been due for longer is late; 0: never.
        late_after: Dur = Dur::mins(5), from Dur::ZERO, to Dur::days(7);
        /// A delivery that takes longer, from admission on, is slow; 0: none is.
        latency: Dur = Dur::ZERO, from Dur::ZERO, to Dur::days(7);
        /// An endpoint at which so many of a hundred attempts fail is failing; 0: none is.
        error_percent: u8 = 50, from 0, to 100;
        /// An endpoint that no event comes in for in this time is silent; 0: none is.
        silent_after: Dur = Dur::ZERO, from Dur::ZERO, to Dur::days(365);
    }
}

section! {
    /// Accepting events.
    Ingest {
        /// The largest payload.
        max_payload: Size = Size::mib(1), from Size::bytes(1), to Size::mib(64);
        /// Events in one batch.
        max_batch: u32 = 1000, from 1, to 1000;
        /// The largest batch.
        max_batch_bytes: Size = Size::mib(8), from Size::bytes(1), to Size::mib(256);
        /// Events in a second from one source, and so many at once; 0: no limit.
        max_rate: u32 = 0, from 0, to 1_000_000;
        /// Relays that an event may have passed through; one with more is refused as a loop.
        max_hops: u8 = 8, from 0, to 100;
        /// Whether only JSON is accepted.
        require_json: bool = false;
        /// Whether submitters name their requests.
        idempotency: Idempotency = Idempotency::Optional;
        /// How long a key is remembered.
        idempotency_window: Dur = Dur::days(7), from Dur::secs(1), to Dur::days(365);
        /// The furthest delivery time that may be asked for.
        max_delay: Dur = Dur::days(30), from Dur::ZERO, to Dur::days(365);
        /// Deliveries on disk that are not done; more are refused.
        max_pending: u64 = 20_000_000, from 1, to 1_000_000_000;
        /// What becomes of an event that no endpoint wants.
        unmatched: Unmatched = Unmatched::Accept;
    }
}

section! {
    /// How long what has ended is kept. What is pending is kept for as long as it is.
    Retention {
        /// A payload, once all deliveries have ended and none is dead.
        delivered_payload: Dur = Dur::days(3), from Dur::ZERO, to Dur::days(3_650);
        /// A payload of which a delivery is dead.
        dead_payload: Dur = Dur::days(30), from Dur::ZERO, to Dur::days(3_650);
        /// Events with their deliveries and attempts.
        events: Dur = Dur::days(30), from Dur::ZERO, to Dur::days(3_650);
        /// Bytes of payloads; over it, those of delivered events go before their time; 0: no limit.
        payload_max: Size = Size::bytes(0), from Size::bytes(0), to Size::gib(1 << 20);
        /// How often it is looked for what may go.
        sweep_every: Dur = Dur::mins(10), from Dur::millis(100), to Dur::days(1);
    }
}

section! {
    /// Sending.
    Delivery {
        /// Attempts at once, all endpoints together.
        max_in_flight: u32 = 256, from 1, to 65_536;
        /// For resolving a name.
        dns_timeout: Dur = Dur::secs(5), from Dur::millis(10), to Dur::mins(10);
        /// For a connection.
        connect_timeout: Dur = Dur::secs(5), from Dur::millis(10), to Dur::mins(10);
        /// For a TLS session.
        tls_timeout: Dur = Dur::secs(5), from Dur::millis(10), to Dur::mins(10);
        /// From the request being sent to the response head.
        response_timeout: Dur = Dur::secs(20), from Dur::millis(10), to Dur::hours(1);
        /// For everything from name to the end of the response.
        attempt_timeout: Dur = Dur::secs(30), from Dur::millis(10), to Dur::hours(1);
        /// How long an unused connection is kept.
        pool_idle_timeout: Dur = Dur::secs(60), from Dur::ZERO, to Dur::hours(1);
        /// How long an answer of the name service is kept.
        dns_cache_ttl: Dur = Dur::secs(30), from Dur::ZERO, to Dur::hours(1);
        /// The `user-agent` of requests; `{version}` stands for postrider's.
        user_agent: String = "postrider/{version}".to_owned();
        /// Whether HTTP/2 is offered on https.
        http2: bool = true;
        /// How much of a response is read.
        max_response: Size = Size::kib(64), from Size::bytes(0), to Size::mib(16);
        /// How much of a failed response is stored with the attempt.
        capture_response: Size = Size::kib(4), from Size::bytes(0), to Size::kib(64);
        /// How long a stop waits for attempts under way.
        drain_timeout: Dur = Dur::secs(25), from Dur::ZERO, to Dur::hours(1);
    }
}

section! {
    /// When a failed delivery is tried again. Each endpoint may have its own.
    Retry {
        /// Which plan is followed.
        policy: RetryPlan = RetryPlan::Schedule;
        /// The delays of the plan `schedule`.
        schedule: Vec<Dur> = default_schedule();
        /// The first delay of the plan `exponential`.
        base: Dur = Dur::secs(5), from Dur::millis(1), to Dur::days(7);
        /// How much longer each delay is than the one before.
        factor: f64 = 3.0, from 1.0, to 100.0;
        /// The longest delay of the plan `exponential`.
        max: Dur = Dur::hours(12), from Dur::millis(1), to Dur::days(30);
        /// Attempts in all under the plan `exponential`.
        max_attempts: u16 = 12, from 1, to 1000;
        /// Each delay is multiplied by a random number from `1 - jitter` to `1 + jitter`.
        jitter: f64 = 0.2, from 0.0, to 1.0;
        /// Whether `Retry-After` may put an attempt off.
        honor_retry_after: bool = true;
        /// The longest that `Retry-After` may ask for.
        retry_after_max: Dur = Dur::hours(1), from Dur::ZERO, to Dur::days(30);
        /// Statuses that end a delivery at once.
        give_up_on: Vec<u16> = vec![410];
        /// Statuses that end a delivery at once and disable the endpoint.
        disable_on: Vec<u16> = vec![410];
        /// A delivery older than this is dead; zero: only the plan ends it.
        max_age: Dur = Dur::ZERO, from Dur::ZERO, to Dur::days(365);
    }
}

section! {
    /// When an endpoint that fails is left alone. Each endpoint may have its own.
    Breaker {
        /// Whether it ever is.
        enabled: bool = true;
        /// Failures of the endpoint in a row that open the breaker.
        failures: u16 = 10, from 1, to 10_000;
        /// How long it stays open before a delivery is tried; doubled each time that fails.
        open_for: Dur = Dur::secs(30), from Dur::millis(10), to Dur::days(1);
        /// The longest that it stays open between two tries.
        open_max: Dur = Dur::mins(15), from Dur::millis(10), to Dur::days(7);
        /// Open without one success for so long, the endpoint is disabled; zero: never.
        disable_after: Dur = Dur::days(5), from Dur::ZERO, to Dur::days(365);
    }
}

section! {
    /// What postrider may connect to.
    Egress {
        /// Whether `http://` URLs are refused.
        https_only: bool = true;
        /// Whether private, local and special addresses are refused.
        block_private: bool = true;
        /// Ranges that may be called all the same.
        allow: Vec<Cidr> = Vec::new();
        /// Ranges that may never be called; wins over `allow`.
        deny: Vec<Cidr> = Vec::new();
        /// Ports that may be called; none listed: any.
        ports: Vec<u16> = vec![443, 8443, 80, 8080];
        /// Which addresses of a name are called, and in which order.
        ip_family: IpFamily = IpFamily::PreferV4;
    }
}

section! {
    /// TLS towards endpoints.
    Tls {
        /// Who vouches for their certificates.
        roots: Roots = Roots::System;
        /// PEM files of certificates that do so as well.
        extra_roots: Vec<std::path::PathBuf> = Vec::new();
        /// The oldest version that is spoken.
        min_version: TlsVersion = TlsVersion::V1_2;
    }
}

section! {
    /// What postrider says of itself.
    Log {
        /// How much, as a filter of `tracing-subscriber`.
        level: String = "info".to_owned();
        /// How it looks.
        format: LogFormat = LogFormat::Auto;
    }
}

impl Ingest {
    /// How fast one source may submit; `None`: as fast as it can.
    pub fn rate_max(&self) -> Option<Rate> {
        let (count, per) = (self.max_rate, Duration::from_secs(1));
        (count > 0).then_some(Rate { count, per, burst: count })
    }
}

impl Delivery {
    /// The `user-agent` of requests, with the version in it.
    pub fn user_agent_text(&self) -> String {
        self.user_agent.replace("{version}", env!("CARGO_PKG_VERSION"))
    }
}

/// The schedule that Standard Webhooks recommends: 9 retries over 75 hours.
fn default_schedule() -> Vec<Dur> {
    let hours = [2, 5, 10, 14, 20, 24].map(Dur::hours);
    [Dur::secs(5), Dur::mins(5), Dur::mins(30)].into_iter().chain(hours).collect()
}
