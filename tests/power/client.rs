//! The power-cut test's client, inside the guest: makes load, and checks what is left after a cut.
//!
//! `load` submits events from several threads and writes `A NUMBER EVENT` for each 202. `check`
//! reads such lines and compares (`tests/harness/pledge.rs`) what there is.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;

use crate::pledge::Acknowledged;
use crate::pledge::Line;

#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only a part of it is needed here, and none that panics"
)]
#[path = "../harness/client.rs"]
mod client;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../harness/pledge.rs"]
mod pledge;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../harness/wire.rs"]
mod wire;

/// How long an answer may take in a machine that is emulated.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["ready", admin] => {
            let ready = Line::open(Path::new(admin))?.get("/readyz")?.status == 200;
            Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ["load", ingest, bytes, first, clients] => {
            load(Path::new(ingest), bytes.parse()?, first.parse()?, clients.parse()?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["check", ingest, admin, bytes, acknowledged] => {
            check(Path::new(ingest), Path::new(admin), bytes.parse()?, acknowledged)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!(
            "usage: ready ADMIN | load INGEST BYTES FIRST CLIENTS | check INGEST ADMIN BYTES FILE"
        ),
    }
}

fn load(ingest: &Path, bytes: usize, first: u64, clients: usize) -> anyhow::Result<()> {
    pledge::load(ingest, &|_| bytes, first, clients, &|number, heard| {
        // who reads these lines may be gone
        let _ = match heard {
            Ok(event) => {
                std::io::stdout().lock().write_all(format!("A {number} {event}\n").as_bytes())
            }
            Err(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                writeln!(std::io::stderr().lock(), "FAULT refused {} {body}", answer.status)
            }
        };
    })
}

fn check(ingest: &Path, admin: &Path, bytes: usize, path: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).context("the acknowledgements")?;
    let mut acknowledged = Acknowledged::new();
    for line in text.lines() {
        let (number, id) = line.split_once(' ').context("NUMBER EVENT")?;
        acknowledged.insert(id.parse()?, number.parse()?);
    }
    let found = pledge::check(ingest, admin, &|_| bytes, &acknowledged)?;
    let mut out = std::io::stdout().lock();
    for fault in &found.faults {
        writeln!(out, "FAULT {fault}")?;
    }
    writeln!(out, "RESULT {found}")?;
    Ok(())
}
