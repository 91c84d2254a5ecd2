//! What this process has used: processor time by part, memory, disk.
//!
//! A bench runs the measured system, the sandbox and the load in one process; threads are told apart by the beginning
//! of their names. Read from `/proc`; where there is none, everything is 0.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::machine::{field, kilobytes};

/// Seconds of processor time that the living threads of this process have used, by the part that their name begins
/// with; other threads count as `rest`. A thread's name is cut to 15 bytes by the system: parts must be shorter.
pub fn cpu_seconds(
    parts: &[(&'static str, &'static str)],
    rest: &'static str,
) -> BTreeMap<&'static str, f64> {
    let mut seconds: BTreeMap<_, f64> = parts.iter().map(|part| (part.1, 0.0)).collect();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads {
        let Ok(name) = fs::read_to_string(thread.path().join("comm")) else { continue };
        let part = parts.iter().find(|part| name.starts_with(part.0)).map_or(rest, |part| part.1);
        let used = fs::read_to_string(thread.path().join("schedstat"))
            .ok()
            .and_then(|stat| stat.split_whitespace().next()?.parse::<f64>().ok());
        *seconds.entry(part).or_default() += used.unwrap_or(0.0) / 1e9;
    }
    seconds
}

/// Seconds of processor time that this process has used, its ended threads' included.
pub fn process_cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

/// Seconds of processor time that a process has used, its ended threads' included: `process` is its number, or `self`.
pub fn cpu_seconds_of(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The process's name is in brackets and may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // In user mode and in the kernel; a tick is a hundredth of a second on every Linux.
    let ticks = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// The most memory that the process ever had resident, in bytes.
pub fn max_resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmHWM").and_then(kilobytes).unwrap_or(0)
}

/// The memory that the process has resident now, in bytes.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmRSS").and_then(kilobytes).unwrap_or(0)
}

/// How long this thread could have run and had to wait for a processor, since it began.
fn waited_for_a_processor() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// How long some work of this thread took, without what it had to wait for a processor that something else had. What a
/// hypervisor takes away is not known to the system, and stays in.
pub fn busy<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let waited_before = waited_for_a_processor();
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    (done, took.saturating_sub(waited_for_a_processor().saturating_sub(waited_before)))
}

/// The bytes of all files in a directory and those below it.
pub fn directory_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(entry_is) if entry_is.is_dir() => directory_bytes(&entry.path()),
        Ok(entry_is) => entry_is.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_as_large_as_its_files_together() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        fs::write(dir.path().join("a"), [0; 10]).unwrap();
        fs::write(dir.path().join("inner/b"), [0; 20]).unwrap();
        assert_eq!(directory_bytes(dir.path()), 30);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_goes_to_the_part_that_a_threads_name_begins_with() {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (spun, ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("spinner-1".to_owned()).spawn(move || {
            let began = Instant::now();
            while began.elapsed().as_millis() < 50 {
                std::hint::spin_loop();
            }
            spun.send(()).unwrap();
            let _ = wait.recv();
        });
        ready.recv().unwrap();
        let seconds = cpu_seconds(&[("spinner", "spin"), ("nobody", "none")], "rest");
        assert!(seconds["spin"] > 0.001, "{seconds:?}");
        assert_eq!(seconds["none"], 0.0);
        assert!(process_cpu_seconds() >= 0.01, "the spinner alone used more");
        assert!(max_resident_bytes() > 0);
        drop(done);
        thread.unwrap().join().unwrap();
    }
}
