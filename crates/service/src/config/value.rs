//! The types that a key can have, and how each is spelled.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, lookup_host};

use super::sources::Raw;

/// A type that a key can have.
pub trait FromConfig: Sized {
    /// What a value looks like, for error messages and documentation: "a size such as 64KiB".
    const EXPECTED: &'static str;
    /// Whether values are kept out of every message and listing.
    const SECRET: bool = false;

    /// Reads a value as a person would write it; blanks round it are gone already.
    fn from_text(text: &str) -> Option<Self>;

    /// Reads the items of a TOML array. Only lists do.
    fn from_items(_items: &[String]) -> Option<Self> {
        None
    }

    /// Writes the value so that [`Self::from_text`] reads it again.
    fn show(&self) -> String;
}

/// Reads a value; the error says what was there and what should be.
pub(super) fn read<T: FromConfig>(raw: &Raw) -> Result<T, String> {
    let (value, shown) = match raw {
        Raw::Text(text) => (T::from_text(text.trim()), format!("`{text}`")),
        Raw::List(items) => (T::from_items(items), "an array".to_owned()),
        Raw::Unfit(kind) => (None, (*kind).to_owned()),
    };
    value.ok_or_else(|| {
        let shown = if T::SECRET { "its value" } else { &shown };
        format!("{shown} is not {}", T::EXPECTED)
    })
}

/// One of a few words: the value beside the word that is `text`.
pub fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

macro_rules! plain {
    ($($type:ty: $expected:literal),+ $(,)?) => {$(
        impl FromConfig for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

plain! {
    u8: "a whole number from 0 to 255",
    u16: "a whole number from 0 to 65535",
    u32: "a whole number from 0 to 4294967295",
    u64: "a whole number",
    usize: "a whole number",
    i64: "a whole number",
    SocketAddr: "an address such as 127.0.0.1:8080",
}

impl FromConfig for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromConfig for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Option<Self> {
        choice(text, &[("true", true), ("false", false), ("1", true), ("0", false)])
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromConfig for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl FromConfig for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// Comma-separated, or a TOML array.
impl<T: FromConfig> FromConfig for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const SECRET: bool = T::SECRET;

    fn from_text(text: &str) -> Option<Self> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::from_text).collect()
    }

    fn from_items(items: &[String]) -> Option<Self> {
        items.iter().map(|item| T::from_text(item.trim())).collect()
    }

    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// `250ms`, `30s`, `24h`, `1h30m`; 0 needs no unit.
impl FromConfig for Duration {
    const EXPECTED: &'static str = "a duration such as 250ms, 30s, 5m, 24h or 7d";

    fn from_text(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::ZERO);
        }
        let (mut rest, mut total_ms) = (text, 0u64);
        while !rest.is_empty() {
            let (number, unit, after) = number_and_unit(rest)?;
            total_ms = total_ms.checked_add(number.checked_mul(choice(unit, &DURATIONS)?)?)?;
            rest = after;
        }
        (!text.is_empty()).then(|| Self::from_millis(total_ms))
    }

    fn show(&self) -> String {
        let mut rest = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let mut text = String::new();
        for (unit, ms) in DURATIONS {
            if rest >= ms {
                text += &format!("{}{unit}", rest / ms);
                rest %= ms;
            }
        }
        if text.is_empty() { "0".into() } else { text }
    }
}

/// A number of bytes: `1MiB`, `64KiB`, `10MB`, `512B` or plain `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many KiB.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// So many MiB.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// So many GiB.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The number of bytes, as sizes in memory are counted.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZES: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

impl FromConfig for ByteSize {
    const EXPECTED: &'static str = "a size such as 512B, 64KiB or 1MiB";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit, rest) = number_and_unit(text)?;
        let factor = if unit.is_empty() { 1 } else { choice(unit, &SIZES)? };
        if rest.is_empty() { number.checked_mul(factor).map(Self) } else { None }
    }

    fn show(&self) -> String {
        let whole = SIZES.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        whole.map_or_else(|| self.0.to_string(), |(unit, factor)| format!("{}{unit}", self.0 / factor))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

/// `30s…` as (30, "s", "…"); a blank may stand before the unit.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let unit = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    Some((number, &rest[..unit], rest[unit..].trim_start()))
}

/// A text that is in no log line and no listing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

impl FromConfig for Secret {
    const EXPECTED: &'static str = "a secret text";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        "********".into()
    }
}

/// Where a server listens: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for all IPv4 interfaces.
/// Port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    host: String,
    port: u16,
}

impl ListenAddr {
    /// A port on every IPv4 interface.
    pub fn everywhere(port: u16) -> Self {
        Self { host: "0.0.0.0".into(), port }
    }

    /// A port that only this machine reaches.
    pub fn loopback(port: u16) -> Self {
        Self { host: "127.0.0.1".into(), port }
    }

    /// Opens the port.
    ///
    /// # Errors
    /// When the host has no address, or none of its addresses can be listened on; the message names the address.
    pub async fn bind(&self) -> std::io::Result<TcpListener> {
        let told = |error: std::io::Error| {
            let hint = "choose another address or stop what listens there";
            std::io::Error::new(error.kind(), format!("can't listen on {self}: {error}; {hint}"))
        };
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = lookup_host((host, self.port)).await.map_err(told)?.collect();
        TcpListener::bind(addresses.as_slice()).await.map_err(told)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromConfig for ListenAddr {
    const EXPECTED: &'static str = "an address to listen on, such as 127.0.0.1:8080, or :0 for a free port";

    fn from_text(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
        };
        match host {
            _ if !fits => None,
            "" => Some(Self::everywhere(port)),
            host => Some(Self { host: host.into(), port }),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
