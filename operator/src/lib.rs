//! Cluster duties as a library: drives the address allocator and writes statuses.
