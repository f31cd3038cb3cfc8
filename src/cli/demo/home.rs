//! The demo's directory: configuration, secrets, sockets, store, log. Only its owner can look in.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;

/// What a demo needs besides endpoints: sockets and store in its own directory, retries that a
/// person can wait for, and leave to call this machine, which endpoints otherwise never may.
const CONFIG: &str = r#"# made by `postrider demo`
[listen]
ingest = "unix:{home}/ingest.sock"
admin  = "unix:{home}/admin.sock"

[storage]
path          = "{home}/store"
ballast       = "1MiB"
min_free_disk = "0"

[retry]
schedule = ["500ms", "1s", "1s", "1s", "1s", "1s", "1s", "1s"]
jitter   = 0.0

[egress]
https_only = false
allow      = ["127.0.0.0/8"]
ports      = []

[log]
format = "json"
"#;

/// The directory; it goes with the value unless it is kept.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    kept: bool,
}

impl Home {
    /// A new directory where temporary files belong.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn make() -> anyhow::Result<Home> {
        let name = format!("postrider-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::path::absolute(std::env::temp_dir().join(name))?;
        // in a directory that all may write to, only a new one is ours
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        let home = Home { path, kept: false };
        DirBuilder::new().mode(0o700).create(home.path.join("secrets"))?;
        Ok(home)
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Where events are submitted.
    pub(super) fn ingest_socket(&self) -> PathBuf {
        self.path.join("ingest.sock")
    }

    /// Where the daemon is managed.
    pub(super) fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Writes a secret to a file that only its owner can read, and returns its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_secret(&self, name: &str, secret: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join("secrets").join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{secret}")?;
        Ok(path)
    }

    /// Writes the configuration file, with these endpoints.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_config(&self, endpoints: &str) -> anyhow::Result<()> {
        let config = CONFIG.replace("{home}", &self.path.to_string_lossy());
        fs::write(self.config(), config + endpoints).context("cannot write the configuration")
    }

    /// The daemon's log, to be written on.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn log(&self) -> anyhow::Result<File> {
        let opened = OpenOptions::new().create(true).append(true).open(self.path.join("log"));
        opened.context("cannot write the log")
    }

    /// The last lines of the daemon's log.
    pub(super) fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(self.path.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let skipped = log.lines().count().saturating_sub(lines);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.kept {
            // what cannot be removed stays in the directory for temporary files
            let _left = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_with_the_value_unless_kept() {
        let home = Home::make().unwrap();
        let path = home.path().to_owned();
        home.write_secret("a", "b").unwrap();
        assert!(path.join("secrets/a").exists());
        drop(home);
        assert!(!path.exists());
        let mut home = Home::make().unwrap();
        home.keep();
        let path = home.path().to_owned();
        drop(home);
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }
}
