//! The process's own figures in Prometheus's standard names, read from `/proc` when somebody asks.
//!
//! Written as text here because two of them are no whole numbers, and the counters of the `metrics` crate are whole.
//! A figure that cannot be read (no Linux, a hidden `/proc`) is left out: a missing series is honest, a zero is not.

use std::fmt::Write as _;
use std::fs;

/// Clock ticks a second in `/proc` (`USER_HZ`): 100 on every Linux that Rust's standard library runs on.
const TICKS_PER_SECOND: u64 = 100;

/// Appends the `process_*` families in the text exposition format 0.0.4.
pub(super) fn render(out: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let times = stat.as_deref().and_then(Times::parse);
    let cpu = times.as_ref().map(|times| seconds(times.cpu_ticks));
    family(
        out,
        "process_cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        cpu,
    );

    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = kibibytes(&status, "VmRSS:");
    family(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    let virtual_size = kibibytes(&status, "VmSize:");
    family(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", virtual_size);

    // Reading the directory opens one descriptor more, which is not the process's own.
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1));
    family(out, "process_open_fds", "gauge", "Number of open file descriptors.", open);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    family(
        out,
        "process_max_fds",
        "gauge",
        "Maximum number of open file descriptors.",
        soft_fd_limit(&limits),
    );

    let boot = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_seconds(&stat));
    let start = times.zip(boot).map(|(times, boot)| seconds(times.start_ticks + boot * TICKS_PER_SECOND));
    let help = "Start time of the process since unix epoch in seconds.";
    family(out, "process_start_time_seconds", "gauge", help, start);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
}

/// From `/proc/self/stat`, in clock ticks.
struct Times {
    cpu_ticks: u64,
    /// Since the machine booted.
    start_ticks: u64,
}

impl Times {
    /// Fields 14, 15 and 22 of `proc_pid_stat(5)`. Counted from the last `)`, for the second field is the program's
    /// name and may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)? })
    }
}

fn seconds(ticks: u64) -> String {
    format!("{}.{:02}", ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND)
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn soft_fd_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn boot_seconds(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_brackets_and_spaces() {
        let stat = "7 (a) b (c)) S 1 1 1 0 -1 4194560 100 0 0 0 250 61 0 0 20 0 4 0 98765 1000 10";
        let times = Times::parse(stat).unwrap();
        assert_eq!(seconds(times.cpu_ticks), "3.11");
        assert_eq!(times.start_ticks, 98765);
        assert!(Times::parse("7 (cut) S 1").is_none());
    }

    #[test]
    fn sizes_and_limits_are_read_in_bytes_and_numbers() {
        assert_eq!(kibibytes("VmSize:\t  20 kB\nVmRSS:\t    3 kB\n", "VmRSS:"), Some(3072));
        assert_eq!(kibibytes("VmSize: 20 kB\n", "VmRSS:"), None);
        assert_eq!(
            soft_fd_limit("Limit  Soft  Hard  Units\nMax open files   1024   524288   files\n"),
            Some(1024)
        );
        assert_eq!(soft_fd_limit("Max open files   unlimited   unlimited   files\n"), None);
        assert_eq!(boot_seconds("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
