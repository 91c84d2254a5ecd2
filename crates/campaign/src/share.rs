//! Which devices a campaign leaves out, and which of its variants a device gets: drawn by hash, so that a device's lot
//! is the same whenever it is asked for, and every campaign draws anew.

use std::hash::Hasher as _;

use geopush_model::{Campaign, CampaignId, DeviceId, Variant};
use siphasher::sip::SipHasher24;

/// The two draws of a device, each independent of the other: a change of the variants moves nobody out of the holdout.
#[derive(Clone, Copy)]
enum Draw {
    Holdout = 1,
    Variant = 2,
}

/// Whether the device is one of those that get nothing, to compare with.
pub fn is_held_out(campaign: &Campaign, device: &DeviceId) -> bool {
    campaign.holdout_percent > 0
        && share(Draw::Holdout, campaign.id, device, 100) < u64::from(campaign.holdout_percent)
}

/// The variant that the device gets, if the campaign has any with a weight.
pub fn variant_of<'a>(campaign: &'a Campaign, device: &DeviceId) -> Option<(usize, &'a Variant)> {
    let sum: u64 = campaign.variants.iter().map(|variant| u64::from(variant.weight)).sum();
    if sum == 0 {
        return None;
    }
    let mut lot = share(Draw::Variant, campaign.id, device, sum);
    campaign.variants.iter().enumerate().find(|(_, variant)| {
        let weight = u64::from(variant.weight);
        let is_it = lot < weight;
        lot = lot.saturating_sub(weight);
        is_it
    })
}

/// A number below `parts`, each as likely as another.
fn share(draw: Draw, campaign: CampaignId, device: &DeviceId, parts: u64) -> u64 {
    // The key is part of what is kept: another one would draw every lot anew.
    let mut hasher = SipHasher24::new_with_keys(0x6765_6f70_7573_6800, draw as u64);
    hasher.write(campaign.0.as_bytes());
    hasher.write(device.as_str().as_bytes());
    let scaled = (u128::from(hasher.finish()) * u128::from(parts)) >> 64;
    u64::try_from(scaled).expect("less than the parts")
}
