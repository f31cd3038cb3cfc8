//! The process as the kernel sees it, under the names that every client library uses (without our
//! prefix). Read from `/proc/self` at each scrape; what cannot be read is left out.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::Resource;
use rustix::process::getrlimit;

/// Ticks per second in `/proc` (`USER_HZ`): 100 on every architecture that Debian knows.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|s| parse(&s)) {
            let cpu = ConstCounter::new(stat.cpu_seconds);
            let help = "Processor time, user and system";
            let name = "process_cpu_seconds";
            cpu.encode(encoder.encode_descriptor(name, help, None, cpu.metric_type())?)?;
            if let Some(booted) = boot_seconds() {
                let at = booted + stat.started_seconds;
                gauge(&mut encoder, "process_start_time_seconds", "Since the Unix epoch", at)?;
            }
        }
        if let Some(kib) = field("/proc/self/status", "VmRSS:") {
            let help = "Memory that is in use now";
            gauge(&mut encoder, "process_resident_memory_bytes", help, kib * 1_024.0)?;
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            let open = u32::try_from(entries.count()).unwrap_or(u32::MAX);
            gauge(&mut encoder, "process_open_fds", "Open descriptors", f64::from(open))?;
        }
        if let Some(max) = getrlimit(Resource::Nofile).current {
            let max = f64::from(u32::try_from(max).unwrap_or(u32::MAX));
            gauge(&mut encoder, "process_max_fds", "Descriptors, at most", max)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// What `/proc/self/stat` tells (proc_pid_stat(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// After the machine was booted.
    started_seconds: f64,
}

/// The command's name stands in parentheses and may hold spaces; what counts comes after it, and
/// the first field there is the third.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Stat {
        cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        started_seconds: ticks(22)? / TICKS_PER_SECOND,
    })
}

fn boot_seconds() -> Option<f64> {
    field("/proc/stat", "btime")
}

/// The number after `name` at the beginning of a line.
fn field(path: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "812 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 4200 20";
        assert_eq!(parse(stat), Some(Stat { cpu_seconds: 3.0, started_seconds: 42.0 }));
        assert_eq!(parse("812 (a"), None);
    }
}
