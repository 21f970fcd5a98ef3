//! BGP messages, attributes, capabilities and NLRI: parsed in place and written.
