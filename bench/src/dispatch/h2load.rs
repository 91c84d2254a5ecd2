//! What `h2load` reaches against the same provider, with the same payload, connections and streams.

use std::process::Command;

use geopush_service::BoxError;

use super::child::Provider;

/// Pushes a second, or nothing where `h2load` is not installed.
///
/// # Errors
/// When it is, and fails.
pub fn rate(
    provider: &Provider,
    pushes: u64,
    connections: usize,
    streams: usize,
) -> Result<Option<f64>, BoxError> {
    let url = format!("{}/v1/projects/h2load/messages:send", provider.url());
    let told = Command::new("h2load")
        .args(["-n", &pushes.to_string(), "-c", &connections.to_string(), "-m", &streams.to_string()])
        .args(["-H", "content-type: application/json", "-H", "authorization: Bearer t", "-d"])
        .arg(provider.body())
        .arg(url)
        .output();
    let told = match told {
        Ok(told) => told,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    match read(&text, pushes) {
        Some(rate) => Ok(Some(rate)),
        None => Err(format!("h2load did not do what it was asked: {text}").into()),
    }
}

/// The rate that it tells, if every request succeeded.
fn read(text: &str, pushes: u64) -> Option<f64> {
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in "))?;
    let rate = finished.split(", ").find_map(|part| part.strip_suffix(" req/s"))?;
    let succeeded = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let all = format!("{pushes} succeeded");
    succeeded.split(", ").any(|part| part == all).then(|| rate.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_if_all_succeeded() {
        let text = "progress: 100% done\n\nfinished in 2.54s, 39370.08 req/s, 3.57MB/s\n\
            requests: 100000 total, 100000 started, 100000 done, 100000 succeeded, 0 failed, 0 errored, 0 timeout\n";
        assert_eq!(read(text, 100_000), Some(39_370.08));
        assert_eq!(
            read(&text.replace("100000 succeeded, 0 failed", "99999 succeeded, 1 failed"), 100_000),
            None
        );
        assert_eq!(read("", 1), None);
    }
}
