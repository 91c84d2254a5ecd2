//! The messages that a campaign compares.

use std::collections::HashSet;

use geopush_model::Variant;

use super::{Errors, MessageError, MessageErrorCode, check_message};

/// The most variants that a campaign compares.
pub const MAX_VARIANTS: usize = 10;
/// The most that a variant may weigh.
pub const MAX_WEIGHT: u32 = 1_000_000;
const MAX_NAME: usize = 64;

/// Everything that is wrong with a campaign's variants, each with its pointer from their array on.
pub fn check_variants(variants: &[Variant]) -> Vec<MessageError> {
    let mut errors = Errors::default();
    if variants.len() > MAX_VARIANTS {
        let detail = format!("give at most {MAX_VARIANTS} variants");
        errors.note("", MessageErrorCode::TooLarge, detail);
    }
    if !variants.is_empty() && variants.iter().all(|variant| variant.weight == 0) {
        errors.note("", MessageErrorCode::OutOfRange, "give at least one variant a weight above 0");
    }
    let mut names = HashSet::new();
    for (i, Variant { name, weight, message }) in variants.iter().enumerate() {
        let at = format!("/{i}/name");
        if !(1..=MAX_NAME).contains(&name.len()) || name.chars().any(char::is_control) {
            let detail = format!("give 1 to {MAX_NAME} bytes without control characters");
            errors.note(at, MessageErrorCode::InvalidValue, detail);
        } else if !names.insert(name) {
            errors.note(
                at,
                MessageErrorCode::Conflicting,
                "another variant has this name; give each its own",
            );
        }
        if *weight > MAX_WEIGHT {
            let detail = format!("give 0 to {MAX_WEIGHT}");
            errors.note(format!("/{i}/weight"), MessageErrorCode::OutOfRange, detail);
        }
        errors.0.extend(
            check_message(message)
                .into_iter()
                .map(|error| MessageError { pointer: format!("/{i}/message{}", error.pointer), ..error }),
        );
    }
    errors.0
}
