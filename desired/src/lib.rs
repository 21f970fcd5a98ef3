//! Objects in; each feature's desired state and each object's conditions out.
