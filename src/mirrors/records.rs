//! What the items mean.
