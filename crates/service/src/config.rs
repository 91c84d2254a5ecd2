//! Typed configuration from `geopush.toml`, then `GEOPUSH_*` variables, then flags; the later wins.
//!
//! A key has one name in four spellings: `ingest.addr` is `[ingest] addr` in the file, `GEOPUSH_INGEST_ADDR` among
//! the variables and `--ingest-addr` on the command line. Whoever needs a key reads it from the [`Reader`], with its
//! default, its limits and what it is for; [`Reader::finish`] then reports *every* error at once (bad values, even
//! ones that a later source overrides, and keys that nobody read), and [`Reader::describe`] lists what holds.
//!
//! A whole process reads the keys of all roles, whichever of them it runs, so that one file serves a fleet.

mod describe;
mod error;
mod reader;
mod sources;
mod table;
mod value;

pub use describe::{Described, Description};
pub use error::{ConfigError, ConfigErrors};
pub use reader::{Key, Reader};
pub use sources::{Origin, Sources, flag_name, variable_name};
pub use value::{ByteSize, FromConfig, ListenAddr, Secret, choice};

#[cfg(test)]
mod tests;
