//! RFC 3339 with milliseconds, the only form in which times leave the API.

use std::borrow::Cow;

use jiff::Timestamp;

/// 0000-01-01T00:00:00.000Z, the first time that RFC 3339's four digits can say.
const FIRST_MS: i64 = -62_167_219_200_000;
/// The last that jiff reads, a day before the end of the year 9999: any offset can still be added.
const LAST_MS: i64 = 253_402_207_200_000;

/// Writes milliseconds since the Unix epoch as `2026-01-01T00:00:00.000Z`.
///
/// Times outside the years 0000 to 9999 are written as the nearest that can be said.
pub fn format_rfc3339_ms(ms: i64) -> String {
    let said = Timestamp::from_millisecond(ms.clamp(FIRST_MS, LAST_MS)).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{said:.3}")
}

/// Reads an RFC 3339 time with any offset into milliseconds since the Unix epoch, truncated towards the past.
///
/// As the RFC has it: `T`, `t` or a blank between date and time, a fraction of any length, `Z`, `z` or `±hh:mm`.
/// A leap second (`:60`) is taken as the second before it. Anything else, an offset left out included, is `None`.
pub fn parse_rfc3339_ms(text: &str) -> Option<i64> {
    let text = shape(text)?;
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
}

/// The text if it has RFC 3339's shape (jiff also reads other forms of ISO 8601), its fraction cut to nanoseconds.
fn shape(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let fits = |bytes: &[u8], pattern: &[u8]| {
        bytes.len() == pattern.len()
            && bytes.iter().zip(pattern).all(|(b, p)| match p {
                b'0' => b.is_ascii_digit(),
                b'T' => matches!(b, b'T' | b't' | b' '),
                b'+' => matches!(b, b'+' | b'-'),
                p => b == p,
            })
    };
    const SECONDS_END: usize = "0000-00-00T00:00:00".len();
    if !fits(bytes.get(..SECONDS_END)?, b"0000-00-00T00:00:00") {
        return None;
    }
    let mut rest = &bytes[SECONDS_END..];
    let mut digits = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        rest = &fraction[digits..];
        if digits == 0 {
            return None;
        }
    }
    if !(fits(rest, b"+00:00") || matches!(rest, b"Z" | b"z")) {
        return None;
    }
    if digits <= 9 {
        return Some(Cow::Borrowed(text));
    }
    let offset = text.len() - rest.len();
    Some(Cow::Owned(format!("{}{}", &text[..SECONDS_END + 1 + 9], &text[offset..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_in_utc_with_three_decimals() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (FIRST_MS, "0000-01-01T00:00:00.000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-30T22:00:00.000Z"),
        ] {
            assert_eq!(format_rfc3339_ms(ms), text);
        }
    }

    #[test]
    fn what_rfc_3339_allows_is_read() {
        for (text, ms) in [
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2026-01-01t00:00:00z", 1_767_225_600_000),
            ("2026-01-01 00:00:00Z", 1_767_225_600_000),
            ("2026-01-01T02:00:00+02:00", 1_767_225_600_000),
            ("2025-12-31T19:30:00-04:30", 1_767_225_600_000),
            ("2026-01-01T00:00:00-00:00", 1_767_225_600_000),
            ("2026-01-01T00:00:00.1239Z", 1_767_225_600_123),
            ("2026-01-01T00:00:00.12399999999999999Z", 1_767_225_600_123),
            ("1969-12-31T23:59:59.9991Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000),
        ] {
            assert_eq!(parse_rfc3339_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_rfc_3339_does_not_allow_is_refused() {
        for text in [
            "",
            "2026",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00+02",
            "2026-01-01T00:00:00+0200",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Z ",
            " 2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z[UTC]",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:61:00Z",
            "+002026-01-01T00:00:00Z",
            "20260101T000000Z",
            "２026-01-01T00:00:00Z",
            "1767225600000",
        ] {
            assert_eq!(parse_rfc3339_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(ms in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(parse_rfc3339_ms(&format_rfc3339_ms(ms)), Some(ms));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parse_rfc3339_ms(&text);
        }
    }
}
