//! What the demo shows: the addresses to open, live counts, the latest pushes.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use geopush::Addresses;
use geopush_sandbox::{Provider, Sandbox, Sent};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Keys;

/// What was counted so far.
#[derive(Clone, Copy)]
pub struct Counts {
    pub fixes: u64,
    pub failures: u64,
    pub transitions: u64,
    pub pushes: u64,
}

/// A terminal that is redrawn, or lines for a file.
pub struct Screen {
    began: Instant,
    bars: MultiProgress,
    counts: ProgressBar,
    latest: Vec<ProgressBar>,
    is_terminal: bool,
    last_line: std::cell::Cell<Option<Instant>>,
}

const LATEST: usize = 6;
/// A file gets a line this often.
const LINE_EVERY: Duration = Duration::from_secs(2);

impl Screen {
    pub fn new() -> Self {
        let bars = MultiProgress::new();
        let style =
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = || bars.add(ProgressBar::new_spinner().with_style(style.clone()));
        let counts = line();
        let latest = (0..=LATEST).map(|_| line()).collect();
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            began: Instant::now(),
            bars,
            counts,
            latest,
            is_terminal,
            last_line: std::cell::Cell::new(None),
        }
    }

    pub fn say(&self, text: &str) {
        if self.is_terminal { self.counts.set_message(text.to_owned()) } else { println!("{text}") }
    }

    pub fn registered(&self, done: u32, of: u32) {
        if self.is_terminal {
            self.counts.set_message(format!("registering devices: {done} of {of}"));
        }
    }

    /// Where to look, with the keys to look with.
    pub fn welcome(&self, addresses: &Addresses, sandbox: &Sandbox, keys: &Keys) {
        let [api, ingest, admin] = [addresses.api, addresses.ingest, addresses.admin]
            .map(|a| a.map_or_else(String::new, |a| a.to_string()));
        let lines = [
            "GeoPush is running. Open:".to_owned(),
            format!("  API docs         http://{api}/docs"),
            format!(
                "  zones            curl -H 'Authorization: Bearer {}' http://{api}/v1/zones?limit=2",
                keys.secret_key
            ),
            format!(
                "  a phone's stays  curl -H 'Authorization: Bearer {}' http://{api}/v1/devices/phone-1/transitions",
                keys.secret_key
            ),
            format!("  ingest           http://{ingest}/v1/pings (publishable key {})", keys.publishable_key),
            format!("  pushes sent      {}/sent", sandbox.control_url()),
            format!("  metrics          http://{admin}/metrics"),
            String::new(),
        ];
        for line in lines {
            if self.is_terminal {
                let _ = self.bars.println(line);
            } else {
                println!("{line}");
            }
        }
    }

    pub fn show(&self, counts: &Counts, latest: &[Sent]) {
        let line = self.line(counts);
        if !self.is_terminal {
            if self.last_line.get().is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                println!("{line}");
                self.last_line.set(Some(Instant::now()));
            }
            return;
        }
        self.counts.set_message(line);
        if let Some((title, rows)) = self.latest.split_first() {
            title.set_message("latest pushes:");
            for (row, sent) in rows.iter().zip(latest.iter().rev()) {
                row.set_message(format!(
                    "  {:>4}  {} {}",
                    match sent.provider {
                        Provider::Fcm => "FCM",
                        Provider::Apns => "APNs",
                    },
                    sent.title,
                    sent.body,
                ));
            }
        }
    }

    pub fn goodbye(&self, counts: &Counts) {
        let _ = self.bars.clear();
        println!("{}", self.line(counts));
    }

    fn line(&self, counts: &Counts) -> String {
        let Counts { fixes, failures, transitions, pushes } = *counts;
        let seconds = self.began.elapsed().as_secs();
        let failed = if failures > 0 { format!(", {failures} requests failed") } else { String::new() };
        format!("{seconds:>4} s  {fixes} fixes -> {transitions} transitions -> {pushes} pushes{failed}")
    }
}
