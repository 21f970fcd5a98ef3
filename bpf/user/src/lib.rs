//! Loads, attaches and pins programs; maps arrays into memory.
