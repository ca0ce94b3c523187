//! How files become visible: staging beside the target, a manifest, and one rename.
//!
//! | Piece | What it does |
//! |---|---|
//! | [`dataset`] | what a target holds already, and what a run adds to it |
//! | [`claim`] | keeps a second run off the same target while this one lives |
//! | [`staging`] | the hidden directory beside the target in which a run writes |
//! | [`manifest`] | the list of published parts |
//! | [`publish`] | the order of publishing steps, computed without I/O, and their execution |

pub(crate) mod claim;
pub(crate) mod dataset;
pub(crate) mod leftover;
pub(crate) mod manifest;
pub(crate) mod publish;
pub(crate) mod staging;
pub(crate) mod state;

/// Name of the manifest in a published directory; readers skip names that begin with `_`.
pub(crate) const MANIFEST_NAME: &str = "_manifest.json";

/// Hadoop's marker of a complete directory; empty.
pub(crate) const SUCCESS_NAME: &str = "_SUCCESS";
