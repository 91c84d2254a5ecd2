//! `geopush migrate`.

use std::process::ExitCode;

use geopush::Storage;

use super::{Ended, Given};

pub async fn run(given: Given) -> Ended {
    let (settings, _) = given.settings()?;
    // Opening makes and upgrades everything; there is nothing else to do on the embedded default.
    Storage::open(&settings).await?.close().await;
    println!("the tables in {} are up to date", settings.data_dir.display());
    Ok(ExitCode::SUCCESS)
}
