//! Shapes: validity, containment, distance.
