//! BGP decisions: session state machine, collision, RIBs, export.
