//! Phones' HTTP dialects to pings.
