//! Where objects come from and statuses go.
