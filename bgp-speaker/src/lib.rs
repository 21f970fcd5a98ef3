//! The BGP speaker's sockets, timers and tasks.
