//! What every kernel program shares: layouts and drop reasons.
