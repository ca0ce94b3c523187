//! The behaviour suite that every connector passes.
