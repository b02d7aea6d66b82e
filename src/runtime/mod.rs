//! The tokio shell that ties core to edge.
