//! `geopush migrate`.

use std::process::ExitCode;

use geopush::{Purpose, Storage};

use super::{Ended, Given};

pub async fn run(given: Given) -> Ended {
    let (settings, _) = given.settings_for(Purpose::Maintain, &[])?;
    for line in Storage::migrate(&settings).await? {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
