//! `geopush check-config`.

use std::process::ExitCode;

use super::{Ended, Given};

pub fn run(given: &Given) -> Ended {
    let (_, description) = given.settings()?;
    print!("{description}");
    Ok(ExitCode::SUCCESS)
}
