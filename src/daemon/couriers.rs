//! From the configuration to a courier.

use std::sync::Arc;

use crate::config::Config;
use crate::config::value;
use crate::courier::Courier;
use crate::courier::Handles;
use crate::courier::Roots;
use crate::courier::Settings;
use crate::courier::SetupError;
use crate::courier::Spawner;
use crate::courier::SystemResolver;
use crate::courier::TlsVersion;
use crate::daemon::clock;
use crate::daemon::clock::Clock;

/// A courier by these settings. It reads trusted certificates, which blocks; its tasks run on the
/// runtime that its attempts run on.
///
/// # Errors
/// [`SetupError`] if the settings cannot be used.
pub(crate) fn courier(config: &Config, clock: &Arc<Clock>) -> Result<Courier, SetupError> {
    let steady = Arc::clone(clock);
    let handles = Handles {
        clock: Arc::new(move || steady.now()),
        wall: Arc::new(clock::now),
        spawner: Spawner::new(|task| {
            tokio::spawn(task);
        }),
        resolver: Arc::new(SystemResolver),
    };
    Courier::new(&settings(config), handles)
}

fn settings(config: &Config) -> Settings {
    let (delivery, tls) = (&config.delivery, &config.tls);
    Settings {
        user_agent: delivery.user_agent_text(),
        http2: delivery.http2,
        pool_idle_timeout: delivery.pool_idle_timeout.get(),
        dns_cache_ttl: delivery.dns_cache_ttl.get(),
        roots: match &tls.roots {
            value::Roots::System => Roots::System,
            value::Roots::File(path) => Roots::File(path.clone()),
        },
        extra_roots: tls.extra_roots.clone(),
        tls_min: match tls.min_version {
            value::TlsVersion::V1_2 => TlsVersion::V1_2,
            value::TlsVersion::V1_3 => TlsVersion::V1_3,
        },
    }
}
