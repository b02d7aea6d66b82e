//! Read a service's indicator.
