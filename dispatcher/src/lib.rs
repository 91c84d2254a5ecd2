//! Transitions and campaigns to delivered pushes.
