//! Move a VM.
