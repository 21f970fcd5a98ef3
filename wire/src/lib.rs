//! Packet headers and checksums, without std.
