//! Settings that are one word of a few.

use serde::Deserialize;
use serde::Serialize;

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $word,)*
        }

        impl $name {
            /// Its word.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$word => $text),* }
            }
        }
    };
}

choice! {
    /// What a 202 stands for.
    Durability {
        /// The event survives a power cut.
        Fsync = "fsync",
        /// The event survives the death of the daemon, not of the machine.
        Process = "process",
    }
}

choice! {
    /// Whether submitters name their requests.
    Idempotency {
        /// A request without a key is refused.
        Required = "required",
        /// A key is honoured where there is one.
        Optional = "optional",
        /// Keys are ignored.
        Off = "off",
    }
}

choice! {
    /// What becomes of an event that no endpoint wants.
    Unmatched {
        /// It is kept, with no delivery.
        Accept = "accept",
        /// It is refused.
        Reject = "reject",
    }
}

choice! {
    /// Which plan of delays is followed.
    RetryPlan {
        /// The list `retry.schedule`.
        Schedule = "schedule",
        /// Growth by `retry.factor`.
        Exponential = "exponential",
    }
}

choice! {
    /// In what order deliveries go out.
    Ordering {
        /// As they come.
        None = "none",
        /// Those of one ordering key one after another.
        Key = "key",
    }
}

choice! {
    /// What becomes of later events of a key while an earlier one fails.
    OnFailure {
        /// They wait until it is delivered or dead.
        Block = "block",
        /// They wait until it is delivered, or a person acts.
        Park = "park",
        /// It is dead, and they go on.
        Skip = "skip",
    }
}

choice! {
    /// Which addresses of a name are called, and in which order.
    IpFamily {
        /// IPv4 first.
        PreferV4 = "prefer-v4",
        /// IPv6 first.
        PreferV6 = "prefer-v6",
        /// IPv4 only.
        V4 = "v4",
        /// IPv6 only.
        V6 = "v6",
    }
}

choice! {
    /// The oldest TLS version that is spoken.
    TlsVersion {
        /// TLS 1.2 and 1.3.
        V1_2 = "1.2",
        /// TLS 1.3 only.
        V1_3 = "1.3",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// The journal under systemd, pretty on a terminal, else JSON.
        Auto = "auto",
        /// Native fields of the journal.
        Journald = "journald",
        /// One JSON object a line on stderr.
        Json = "json",
        /// For people, on stderr.
        Pretty = "pretty",
    }
}
